import { OpsError, UsageError } from "../core/errors.ts";
import { formatPercent, percent } from "../core/percent.ts";
import type { FlagDefinition, Rule } from "../flag-source/definition.ts";
import { isPause, type Pause, type StepEntry } from "../rollout/step-field.ts";
import type { WatchedStep } from "../rollout/watched.ts";
import { existing, type FlagBefore } from "./change.ts";
import { layersOf, settledAt } from "./layers.ts";
import { rolloutOfRule, shareFor, withRollout } from "./rollout.ts";
import { insideOf } from "./set.ts";
import { stateOf } from "./shown.ts";

export interface RampStep extends WatchedStep {
  /** `before`: a pause at what is there already, where nothing is baked. */
  readonly stage: "before" | "share";
  /** What the flag is in this step. */
  readonly definition: FlagDefinition;
  /** After the bake; undefined: the ramp goes on by itself. */
  readonly pause: Pause | undefined;
}

export interface RampPlan {
  /** The variant that is given out, and the one that the others have. */
  readonly to: string;
  readonly other: string;
  /** Percent of the users who have it before. */
  readonly present: number;
  /** At least one share. */
  readonly steps: readonly RampStep[];
}

interface Wanted {
  readonly flag: string;
  readonly to?: string | undefined;
  readonly steps: readonly StepEntry[];
}

/**
 * The steps from what users have now. A ramp never takes the variant away from anybody: steps below the present share are
 * left out, with their pauses, and all are shares of one hash. Lists, prerequisites, rules and times to come stay. Pure,
 * so that a resumed run has the same steps. Throws `E_FLAG_RAMP` or `E_FLAG_TARGETING` where that cannot be.
 */
export function rampPlan(before: FlagBefore, { flag, to: wanted, steps: entries }: Wanted): RampPlan {
  const definition = existing(before.definition);
  const now = new Date(before.at);
  const inside = insideOf(definition);
  const half = rolloutOfRule(inside, shareFor(flag, inside, { percent: 50, variant: wanted }).rule);
  if (half === undefined) throw new Error("a share of a variant is no rollout");
  const { variant: to, other } = half;
  if (to === other) {
    throw new UsageError("E_FLAG_RAMP", `Flag ${flag} has ${to} for everybody who is on no list`, {
      hint: `name another variant with --to: ${Object.keys(inside.variants).join(", ")}`,
    });
  }
  const present = presentShare(flag, definition, { to, other, now });
  const at = (share: number): FlagDefinition => ({
    ...withRollout(flag, inside, { percent: share, variant: to, now }),
    state: "ENABLED",
  });
  const weights = (share: number) => ({ [to]: share, [other]: 100 - share });
  const steps = entries.flatMap((entry, index): RampStep[] => {
    if (isPause(entry)) {
      if (index > 0) return [];
      const share = percent(present);
      return [{ stage: "before", share, weights: weights(share), definition, pause: entry }];
    }
    if (entry < present) return [];
    const next = entries[index + 1];
    const pause = isPause(next) ? next : undefined;
    return [{ stage: "share", share: entry, weights: weights(entry), definition: at(entry), pause }];
  });
  if (steps.every(({ stage }) => stage === "before")) {
    throw new UsageError(
      "E_FLAG_RAMP",
      `${formatPercent(present)} have ${flag} already, more than every step`,
      {
        hint: `add a higher step, or lower it first: ops flag rollout ${flag} 0%`,
      },
    );
  }
  return { to, other, present, steps };
}

export function rampStepAt(steps: readonly RampStep[], index: number): RampStep {
  const step = steps[index];
  if (step === undefined) {
    throw new OpsError("E_FLAG_RAMP", `The journal names step ${index + 1} of a ramp with ${steps.length}`, {
      hint: "the runbook was changed during the run; take it back with: ops runs rollback",
      retryable: false,
    });
  }
  return step;
}

interface Given {
  readonly to: string;
  readonly other: string;
  readonly now: Date;
}

/** Percent of those on no list who get the variant now. Throws where the ramp would take a third one from somebody. */
function presentShare(flag: string, definition: FlagDefinition, { to, other, now }: Given): number {
  const state = stateOf(definition);
  if (state === "disabled") {
    throw new UsageError(
      "E_FLAG_RAMP",
      `Flag ${flag} is disabled: the code of the application decides who has it`,
      {
        hint: `let it count first: ops flag enable ${flag}`,
      },
    );
  }
  if (state !== "on") return 0;
  const settled = settledAt(definition, now);
  const { rest } = layersOf(settled);
  // A rule of one's own is refused where the share would be put in its place.
  const shares = sharesOf(settled, rest);
  // The share that grows must stand first: behind another one it would move to other users.
  const taken = shares.find(
    ([variant], index) =>
      variant !== to && (variant !== other || shares.slice(index).some(([each]) => each === to)),
  );
  if (taken === undefined) return shares[0]?.[0] === to ? shares[0][1] : 0;
  const [variant, share] = taken;
  throw new UsageError(
    "E_FLAG_RAMP",
    `Flag ${flag} gives ${variant} to ${formatPercent(share)}: a ramp of ${to} would take it from them`,
    { hint: `ramp ${variant}, or take it back first: ops flag rollout ${flag} 0%` },
  );
}

/** Variants and percent of the users, in the order of their buckets; none for a rule of one's own. */
function sharesOf(definition: FlagDefinition, rest: Rule): (readonly [variant: string, share: number])[] {
  if (typeof rest === "string") return [[rest, 100]];
  const found = rolloutOfRule(definition, rest);
  if (found === undefined) return [];
  const both = [[found.variant, found.percent] as const, [found.other, 100 - found.percent] as const];
  if (found.isLast) both.reverse();
  return both.filter(([, share]) => share > 0);
}
