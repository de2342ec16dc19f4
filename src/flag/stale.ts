import { z } from "zod";
import { columns } from "../core/columns.ts";
import { formatPercent } from "../core/percent.ts";
import { duration } from "../core/schema.ts";
import { visibleLine } from "../core/visible.ts";
import type { FlagDefinition } from "../flag-source/definition.ts";
import type { StoredFlag } from "../flag-source/flag-set.ts";
import { defineOperation } from "../run/operation.ts";
import { settledAt } from "./layers.ts";
import { describeState, shown } from "./shown.ts";
import { source, withFlagSource } from "./source.ts";

const day = 86_400_000;

export const stale = defineOperation({
  name: "flag.stale",
  summary: "List flags that can go: expired, or the same for everybody for long",
  example: "flag stale --older-than 720h",
  effect: "read",
  input: z.strictObject({
    "older-than": duration("How long nothing has changed: 720h").prefault("720h"),
    source,
  }),
  output: z.object({
    flags: z.array(
      z.object({
        flag: z.string(),
        why: z.string(),
        owner: z.string().nullable(),
        state: z.string().describe("What users get"),
        days: z.number().nullable().describe("Since it was changed last; null where that is not known"),
      }),
    ),
  }),
  observe: async () => null,
  plan: () => [],
  apply: async (context, input) => {
    const { flags } = await withFlagSource(context, input.source, (opened) => opened.read());
    const now = context.clock.now();
    return {
      flags: [...flags].flatMap(([flag, stored]) => {
        const definition = settledAt(stored.definition, now);
        const why = reasonOf(definition, stored, now, input["older-than"]);
        if (why === undefined) return [];
        const days =
          stored.changedAt === null ? null : Math.floor((now.getTime() - Date.parse(stored.changedAt)) / day);
        return [{ flag, why, owner: shown(flag, definition).owner, state: describeState(definition), days }];
      }),
    };
  },
  render: ({ flags }) =>
    flags.length === 0
      ? "no flag is stale"
      : columns(
          [
            ["FLAG", "WHY", "NOW", "OWNER"],
            ...flags.map(({ flag, why, state, owner }) => [flag, why, state, owner ?? "-"].map(visibleLine)),
          ],
          new Set(),
        ).join("\n"),
});

function reasonOf(
  definition: FlagDefinition,
  { changedAt }: StoredFlag,
  now: Date,
  olderThan: number,
): string | undefined {
  const expires = definition.metadata?.expires;
  if (typeof expires === "string" && Date.parse(expires) <= now.getTime()) return `expired on ${expires}`;
  const age = changedAt === null ? 0 : now.getTime() - Date.parse(changedAt);
  if (age < olderThan) return undefined;
  const since = `for ${Math.floor(age / day)} days`;
  const { state, rollout } = shown("", definition);
  if (state !== "on") return `${state} ${since}`;
  return rollout === 0 || rollout === 100 ? `at ${formatPercent(rollout)} ${since}` : undefined;
}
