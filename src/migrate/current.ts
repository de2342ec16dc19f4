import { z } from "zod";
import { defineOperation } from "../run/operation.ts";
import { database } from "./input.ts";
import { title } from "./migration-file.ts";
import { survey } from "./session.ts";
import { canonicalVersion } from "./version.ts";

export const current = defineOperation({
  name: "migrate.current",
  summary: "Show the newest applied migration",
  example: "migrate current",
  effect: "read",
  input: z.strictObject({ database }),
  output: z.object({
    database: z.string().describe("The database"),
    version: z.string().nullable().describe("The newest applied version; null where there is none"),
    name: z.string().nullable().describe("Its name"),
    appliedAt: z.string().nullable().describe("When (ISO 8601, UTC)"),
    appliedBy: z.string().nullable().describe("By whom"),
  }),
  observe: async () => null,
  plan: () => [],
  apply: async (context, input) => {
    const target = context.environment.database(input.database);
    const { assessment, history } = await survey(context, target);
    const version = assessment.current;
    const row = history.find(
      (each) => version !== undefined && canonicalVersion(each.version) === canonicalVersion(version),
    );
    return {
      database: target.name,
      version: row?.version ?? null,
      name: row?.name ?? null,
      appliedAt: row?.appliedAt ?? null,
      appliedBy: row?.appliedBy ?? null,
    };
  },
  render: ({ version, name }) => (version === null ? "no version" : title({ version, name: name ?? "" })),
});
