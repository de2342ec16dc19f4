import { z } from "zod";
import { UsageError } from "../core/errors.ts";
import type { FlagDefinition } from "../flag-source/definition.ts";
import { defineFlagChange, existing } from "./change.ts";
import { layersOf, settledAt, withLayers } from "./layers.ts";
import { shareFor } from "./rollout.ts";
import { changedInside, namesDay, share } from "./set.ts";
import { stateOf } from "./shown.ts";

const moment = z
  .string()
  .refine(
    (each) => namesDay(each) && /T.*(Z|[+-]\d\d:?\d\d)$/.test(each) && !Number.isNaN(Date.parse(each)),
    "must be a moment with its zone: 2027-01-31T09:00:00Z, 2027-01-31T09:00+01:00",
  );

export const schedule = defineFlagChange({
  name: "flag.schedule",
  summary: "Change a flag's rollout at a moment to come; every reader does it by its own clock",
  example: "flag schedule new-checkout --at 2027-01-31T09:00:00Z --rollout 50%",
  verb: "schedule flag",
  input: {
    at: moment.describe("When: 2027-01-31T09:00:00Z").optional(),
    rollout: share("The share of the users who have it from then on").optional(),
    state: z.enum(["on", "off"]).describe("Everybody or nobody from then on").optional(),
    variant: z.string().describe("Which variant they get; default: the one that is true").optional(),
    clear: z.boolean().describe("Take back what is to come: at --at, or all of it").default(false),
  },
  edit: (before, input, { now }) => {
    if (!input.clear) refuseNotOn(input.flag, existing(before));
    return changedInside(existing(before), (inside) => {
      const settled = settledAt(inside, now);
      const layers = layersOf(settled);
      const from = input.at === undefined ? undefined : Math.floor(Date.parse(input.at) / 1000);
      const others = layers.times.filter(([each]) => each !== from);
      if (input.clear) {
        if (input.rollout === undefined && input.state === undefined) {
          return withLayers(settled, { ...layers, times: from === undefined ? [] : others });
        }
        throw new UsageError("E_INPUT", "--clear takes back, and sets nothing", {
          hint: "leave out --rollout and --state",
        });
      }
      const percent = percentOf(input.rollout, input.state);
      if (from === undefined || percent === undefined) {
        throw new UsageError("E_INPUT", `What is to happen to flag ${input.flag}, and when?`, {
          hint: "add --at MOMENT and one of --rollout and --state, or --clear",
        });
      }
      if (from * 1000 <= now.getTime()) {
        throw new UsageError("E_INPUT", `${input.at} has passed`, {
          hint: `now: ops flag rollout ${input.flag} ${input.rollout ?? "…"}`,
        });
      }
      const value = shareFor(input.flag, settled, { percent, variant: input.variant });
      return withLayers(
        { ...settled, defaultVariant: value.other },
        { ...layers, times: [...others, [from, value.rule]] },
      );
    });
  },
});

/** The time of a flag that is off, or does not count, would come, and nothing would happen. */
function refuseNotOn(flag: string, definition: FlagDefinition): void {
  const state = stateOf(definition);
  if (state === "on") return;
  throw new UsageError("E_FLAG_TARGETING", `Flag ${flag} is ${state}: nothing would happen at that time`, {
    hint:
      state === "disabled"
        ? `let it count first: ops flag enable ${flag}`
        : `for nobody until then, turn it on for 0% first: ops flag rollout ${flag} 0%`,
  });
}

function percentOf(rollout: number | undefined, state: "on" | "off" | undefined): number | undefined {
  if (rollout !== undefined && state !== undefined) return undefined;
  return state === undefined ? rollout : state === "on" ? 100 : 0;
}
