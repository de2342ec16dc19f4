import { z } from "zod";
import { UsageError } from "../core/errors.ts";
import { formatPercent } from "../core/percent.ts";
import { percentage } from "../core/schema.ts";
import { defineOperation } from "../run/operation.ts";
import {
  ensureFlagTable,
  type FlagRow,
  type FlagSettings,
  readFlag,
  restoreFlag,
  writeFlag,
} from "./flag-table.ts";
import { describeRow, describeSettings, flagOutput, shownState } from "./shown.ts";
import { flagName, source, withFlagSource } from "./source.ts";

const setInput = z.strictObject({
  flag: flagName,
  source,
  state: z.enum(["on", "off"]).describe("On or off; the rollout stays as it is").optional(),
  rollout: percentage("The share of users who have it: 10%; also turns it on, unless state says off")
    .refine((each) => Number(each.toFixed(2)) === each, "must have at most two decimals")
    .optional(),
  description: z.string().describe("What the flag is for").optional(),
});

type SetInput = z.output<typeof setInput>;

export const set = defineOperation({
  name: "flag.set",
  summary: "Turn a flag on or off, or roll it out to a share of users",
  example: "flag set session-pooling --rollout 10%",
  effect: "change",
  input: setInput,
  positional: ["flag"],
  output: z.object(flagOutput),
  targets: ({ flag }) => [`flag:${flag}`],
  observe: async (context, input): Promise<FlagRow | null> => {
    refuseNothing(input);
    return withFlagSource(context, input.source, (client) => readFlag(client, input.flag));
  },
  plan: (before, input) => {
    const after = desired(before, input);
    if (before !== null && sameSettings(before, after)) return [];
    const change = { target: `flag:${input.flag}`, to: describeRow(after) };
    return before === null
      ? [{ ...change, action: "create", summary: `create flag ${input.flag}` }]
      : [{ ...change, action: "update", summary: `set flag ${input.flag}`, from: describeRow(before) }];
  },
  apply: async (context, input, before) => {
    const after = desired(before, input);
    return withFlagSource(context, input.source, async (client) => {
      await ensureFlagTable(client);
      const current = await readFlag(client, input.flag);
      if (current === null || !sameSettings(current, after)) {
        await writeFlag(client, input.flag, after, context.actor);
      }
      return {
        flag: input.flag,
        state: shownState(after),
        rollout: after.rollout,
        description: after.description,
      };
    });
  },
  undo: async (context, input, before) =>
    withFlagSource(context, input.source, async (client) => {
      const current = await readFlag(client, input.flag);
      if (current === null && before === null) return { undone: true };
      // Where apply never ran there may be no table yet, but then there was no row either.
      await restoreFlag(client, input.flag, before);
      const expected = [before, desired(before, input)];
      if (expected.some((each) => sameOrBothAbsent(current, each))) return { undone: true };
      const found =
        current === null
          ? "deleted"
          : `set to ${describeSettings(current)} by ${current.updatedBy ?? "nobody"}`;
      return {
        undone: true,
        note: `flag ${input.flag} had been ${found} in the meantime; it is back as it was before this run`,
      };
    }),
  render: ({ flag, state, rollout }) => `flag ${flag} is ${state} for ${formatPercent(rollout)} of users`,
});

function refuseNothing(input: SetInput): void {
  if (input.state !== undefined || input.rollout !== undefined || input.description !== undefined) return;
  throw new UsageError("E_INPUT", `Nothing to set for flag ${input.flag}`, {
    hint: "add state (on or off), rollout (10%) or description",
  });
}

/** What the row should say: what is asked, and for the rest what is there. */
function desired(before: FlagSettings | null, input: SetInput): FlagSettings {
  const asked = input.state ?? (input.rollout === undefined ? undefined : "on");
  return {
    enabled: asked === undefined ? (before?.enabled ?? false) : asked === "on",
    rollout: input.rollout ?? before?.rollout ?? 100,
    description: input.description ?? before?.description ?? null,
  };
}

function sameSettings(a: FlagSettings, b: FlagSettings): boolean {
  return a.enabled === b.enabled && a.rollout === b.rollout && a.description === b.description;
}

function sameOrBothAbsent(a: FlagSettings | null, b: FlagSettings | null): boolean {
  return a === null || b === null ? a === b : sameSettings(a, b);
}
