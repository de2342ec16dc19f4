import { z } from "zod";
import { ExitCode, OpsError } from "../core/errors.ts";
import { textDifference } from "../postgres-schema/text-difference.ts";
import { defineOperation } from "../run/operation.ts";
import { database } from "./input.ts";
import { type Difference, differenceSchema, readDrift } from "./schema-drift.ts";
import { survey } from "./session.ts";

export const drift = defineOperation({
  name: "migrate.drift",
  summary: "Compare the live schema with what its applied migrations give, built on a throw-away server",
  example: "migrate drift --database main",
  effect: "read",
  input: z.strictObject({
    database,
    owners: z
      .boolean()
      .describe("Compare owners too: they should be the role that the migrations run as")
      .default(false),
    ignore: z
      .array(z.string())
      .describe("Objects that may differ: names as the result shows them, * for any text (audit.*)")
      .default([]),
  }),
  output: z.object({
    database: z.string().describe("The database"),
    version: z.string().nullable().describe("The newest applied version; null where there is none"),
    migrations: z.number().describe("How many applied migrations the comparison is built from"),
    differences: z.array(differenceSchema).describe("In the order in which objects are created"),
    reordered: z
      .array(z.string())
      .describe("Tables that differ only in the order of their columns: no drift"),
    suggestion: z
      .array(z.string())
      .describe(
        "Statements that would bring the live database back, where they are simple; to be read, not run unseen",
      ),
    notes: z.array(z.string()).describe("What limits the comparison"),
  }),
  observe: async () => null,
  plan: () => [],
  apply: async (context, input, _before, report) => {
    const target = context.environment.database(input.database);
    const found = await survey(context, target);
    return { database: target.name, ...(await readDrift(context, target, found, input, report)) };
  },
  failure: ({ database, differences }) =>
    differences.length === 0
      ? undefined
      : new OpsError(
          "E_DRIFT",
          `Database ${database} is not what its migrations give: ${differences.length} ${differences.length === 1 ? "object differs" : "objects differ"}`,
          {
            exitCode: ExitCode.noGo,
            hint: "write a migration for what should stay, and take back by hand what should not",
          },
        ),
  render: ({ database, version, migrations, differences, reordered, suggestion, notes }) =>
    [
      ...differences.flatMap(show),
      ...(reordered.length === 0
        ? []
        : ["columns in another order (no drift):", ...reordered.map((each) => `  ${each}`)]),
      ...(suggestion.length === 0
        ? []
        : [
            "",
            "-- A suggestion, to be read and not run unseen: it would bring the live database back to its migrations.",
            ...suggestion,
          ]),
      ...notes.map((each) => `note: ${each}`),
      ...(differences.length === 0
        ? [
            `database ${database} is what its ${migrations} applied ${migrations === 1 ? "migration gives" : "migrations give"} (version ${version ?? "none"})`,
          ]
        : []),
    ].join("\n"),
});

function show({ state, kind, identity, expected, live }: Difference): string[] {
  const heading = {
    missing: `${kind} ${identity} is missing`,
    unexpected: `${kind} ${identity} is in no migration`,
    changed: `${kind} ${identity} is not what the migrations give`,
  }[state];
  const lines =
    expected !== null && live !== null
      ? textDifference(expected, live)
      : (expected ?? live ?? "").split("\n").map((line) => `${state === "missing" ? "-" : "+"} ${line}`);
  return [heading, ...lines.map((line) => `  ${line}`)];
}
