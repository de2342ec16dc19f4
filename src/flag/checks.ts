import { z } from "zod";
import type { Json } from "../core/errors.ts";
import { formatPercent } from "../core/percent.ts";
import { name, percentage } from "../core/schema.ts";
import { type Check, type CheckLimits, defineCheck, type Judgement } from "../run/check.ts";
import { hasLimits, judgeByLimits } from "../run/limits.ts";
import { evaluateFor, renderEvaluation, type ShownEvaluation } from "./evaluation.ts";
import { settledAt } from "./layers.ts";
import { describeState, type ShownFlag, shown } from "./shown.ts";
import { flagName, requireFlag, source, withFlagSource } from "./source.ts";

const states = z.enum(["on", "off", "killed", "disabled"]);

const input = z.strictObject({
  flag: flagName,
  source,
  is: z
    .union([states, z.array(states).min(1, "needs at least one")])
    .describe("The state that it must be in, or several: on, off, killed, disabled")
    .optional(),
  rollout: percentage("The share of users who must have it; limits of the gate say more or less").optional(),
  variant: name("The variant that somebody must get").optional(),
  context: z
    .record(z.string(), z.json())
    .describe("With variant: who asks, as an application would: { targetingKey: 4711, country: DE }")
    .default({}),
});

type FlagEvidence = {
  flag: string;
  source: string;
  state: ShownFlag["state"];
  /** Percent of users who have it now; null where rules decide. */
  share: number | null;
  /** For a person: `on at 10%`. */
  described: string;
  changedAt: string | null;
  changedBy: string | null;
  evaluation: ShownEvaluation | null;
};

/** Rounding of shares, in percentage points. */
const rounding = 0.01;

const flagCheck = defineCheck({
  kind: "flag",
  summary: "The state of a flag, the share of users who have it, or what somebody gets of it",
  why: "Code that is deployed behind a flag is only as safe as the flag is where one thinks it is.",
  remedy: "See who changed it with ops flag history, and set it with ops flag set, rollout or kill.",
  limitUnits: ["percent"],
  input,

  async measure(context, settings) {
    const { place, set } = await withFlagSource(context, settings.source, async (opened) => ({
      place: opened.place,
      set: await opened.read(),
    }));
    const now = context.clock.now();
    const definition = settledAt(requireFlag(set, settings.flag), now);
    const { state, rollout } = shown(settings.flag, definition, now);
    const stored = set.flags.get(settings.flag);
    const evidence: FlagEvidence = {
      flag: settings.flag,
      source: place,
      state,
      share: state === "on" ? rollout : 0,
      described: describeState(definition),
      changedAt: stored?.changedAt ?? null,
      changedBy: stored?.changedBy ?? null,
      evaluation:
        settings.variant === undefined
          ? null
          : await evaluateFor(set, settings.flag, asked(settings.context)),
    };
    return { value: evidence.share, shown: `${settings.flag} is ${evidence.described}`, evidence };
  },

  judge: ({ shown: text, evidence }, settings, limits) =>
    judge(text, evidence as FlagEvidence, settings, limits),
});

function judge(
  text: string,
  { flag, state, share, evaluation }: FlagEvidence,
  { is, rollout, variant }: z.output<typeof input>,
  limits: CheckLimits,
): Judgement {
  const wanted = is === undefined ? undefined : [is].flat();
  if (wanted !== undefined && !wanted.includes(state))
    return { status: "fail", reason: `${text}, and must be ${wanted.join(" or ")}` };
  if (variant !== undefined && evaluation !== null && evaluation.variant !== variant)
    return { status: "fail", reason: `${renderEvaluation(flag, evaluation)}, and must give ${variant}` };
  if (rollout !== undefined || hasLimits(limits)) {
    if (share === null) return { status: "unknown", reason: `${text}, so that its share is not known` };
    if (rollout !== undefined && Math.abs(share - rollout) > rounding)
      return { status: "fail", reason: `${text}, and must be at ${formatPercent(rollout)}` };
    return judgeByLimits(share, text, limits);
  }
  if (evaluation !== null) return { status: "pass", reason: renderEvaluation(flag, evaluation) };
  if (wanted !== undefined) return { status: "pass", reason: text };
  return {
    status: "unknown",
    reason: `${text}, and nothing says what is good: add "is:", "rollout:" or "variant:"`,
  };
}

/** The targeting key is always a text. */
function asked(context: Readonly<Record<string, unknown>>): Readonly<Record<string, Json>> {
  const { targetingKey, ...others } = context as Record<string, Json>;
  return targetingKey === undefined ? others : { ...others, targetingKey: String(targetingKey) };
}

export const checks: readonly Check[] = [flagCheck];
