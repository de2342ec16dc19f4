import { z } from "zod";
import { formatDuration } from "../core/duration.ts";
import { UsageError } from "../core/errors.ts";
import { formatPercent } from "../core/percent.ts";
import { type FlagDefinition, sameJson } from "../flag-source/definition.ts";
import { withFlag } from "../flag-source/flag-set.ts";
import { prepared } from "../flag-source/prepared.ts";
import { openMetricsSource } from "../request-source/open-metrics-source.ts";
import type { RequestSource } from "../request-source/request-source.ts";
import { beginComparison, followTimes } from "../rollout/begin-comparison.ts";
import { requireFigures } from "../rollout/figures.ts";
import { earlierIsOver } from "../rollout/guard.ts";
import { promotion } from "../rollout/promotion.ts";
import { configuredChecks } from "../run/configured-check.ts";
import type { OperationContext } from "../run/context.ts";
import { type Change, defineOperation } from "../run/operation.ts";
import { existing, type FlagBefore, refuseKilled } from "./change.ts";
import { placeToResume, rampStepResult } from "./ramp-checkpoint.ts";
import { RampFlag, type RampTrace, takeBack, whatBecame } from "./ramp-flag.ts";
import { type RampInput, rampInput } from "./ramp-input.ts";
import { guardRamp, RampFiles } from "./ramp-record.ts";
import { passedLine, promotedLine, RampRun } from "./ramp-run.ts";
import { type RampPlan, type RampStep, rampPlan } from "./ramp-steps.ts";
import { WatchedFlag } from "./ramp-watched.ts";
import { describeFlag, describeState } from "./shown.ts";
import { requireFlag, withFlagSource } from "./source.ts";

const output = z.object({
  verdict: z.literal("pass").describe("Every other end is an error"),
  flag: z.string(),
  variant: z.string().describe("What was given out"),
  share: z.number().describe("Percent of the users who have it now"),
  judge: z.enum(["metrics", "time"]).describe("What it was judged by, beside the gate"),
  steps: z.array(rampStepResult),
  promotions: z.array(promotion).describe("Of its pauses"),
});

type RampBefore = FlagBefore & { judge: "metrics" | "time" };

export const ramp = defineOperation({
  name: "flag.ramp",
  summary: "Give a flag to more and more users, and make it what it was as soon as it does badly",
  example: "flag ramp new-checkout --to on --steps 10%,50%,100% --bake 10m",
  effect: "change",
  input: rampInput,
  positional: ["flag"],
  output,
  targets: ({ flag }) => [`flag:${flag}`],
  async observe(context, input): Promise<RampBefore> {
    const set = await withFlagSource(context, input.source, (opened) => opened.read());
    const definition = requireFlag(set, input.flag);
    refuseKilled(input.flag, definition);
    const before = { definition, at: context.clock.now().toISOString(), actor: context.actor };
    const plan = rampPlan(before, input);
    // Whatever is wrong with a step is said before anything is done.
    for (const step of plan.steps) prepared(set, (now) => withFlag(now, input.flag, step.definition), input);
    if (input.gate !== undefined) {
      configuredChecks(input.gate, context.environment.gate(input.gate), await context.checks());
    }
    const requests = countedBy(context, input, plan);
    if (requests === undefined) {
      refuseUnjudged(input);
      return { ...before, judge: "time" };
    }
    try {
      await requireFigures(`flag ${input.flag}`, requests, input["abort-when"], context.signal);
    } finally {
      await requests.close?.();
    }
    return { ...before, judge: "metrics" };
  },
  plan(before, input): Change[] {
    const { to, steps } = rampPlan(before, input);
    const watched = before.judge === "metrics" ? "watch it for" : "wait for";
    let from = existing(before.definition);
    return steps.map((step) => {
      const gate = input.gate === undefined ? [] : [`ask gate ${input.gate}`];
      const parts =
        step.stage === "before"
          ? [`leave ${to} at ${formatPercent(step.share)} of the users`]
          : [
              `give ${to} to ${formatPercent(step.share)} of the users`,
              `${watched} ${formatDuration(input.bake)}`,
              ...gate,
            ];
      const change: Change = {
        target: `flag:${input.flag}`,
        action: "update",
        summary: listed.format([...parts, ...pauseClause(input.flag, step)]),
        ...(step.stage === "share" && { from: describeFlag(from), to: describeFlag(step.definition) }),
      };
      from = step.definition;
      return change;
    });
  },
  async apply(context, input, before, report) {
    const plan = rampPlan(before, input);
    const trace = traceOf(input, before, plan);
    await earlierIsOver(context, new RampFiles(context, input.source, input.flag));
    await using flag = new RampFlag(context, input.source, input.flag);
    const present = await presentOf(flag, trace);
    const place = placeToResume(report.last, trace.before, plan.steps, present);
    const requests = before.judge === "metrics" ? countedBy(context, input, plan) : undefined;
    try {
      const watched =
        requests === undefined
          ? undefined
          : new WatchedFlag(input.flag, flag, requests, {
              definition: present,
              weights: weightsNow(plan, trace, present),
            });
      await using times =
        watched === undefined ? undefined : followTimes(context, watched, { ...input, to: plan.to });
      const { source, before: definition, given } = trace;
      const guard = await guardRamp(context, plan.to, input["on-crash"], {
        flag: input.flag,
        source: source ?? null,
        before: definition,
        given: [...given],
      });
      const comparison =
        watched === undefined || plan.steps.every(({ share }) => share === 0 || share === 100)
          ? undefined
          : await beginComparison(context, {
              watched,
              what: `flag ${input.flag}`,
              input: { ...input, to: plan.to },
              report,
              times,
              state: place.comparison,
              onLook: () => guard.refuseAborted(),
              onFailure: () => guard.over(),
            });
      const parts = { context, input, plan, trace, flag, watched, times, comparison, guard, report };
      const run = new RampRun(parts, place, present);
      await run.toTheEnd();
      return {
        verdict: "pass" as const,
        flag: input.flag,
        variant: plan.to,
        share: plan.steps.at(-1)?.share ?? plan.present,
        judge: before.judge,
        steps: run.passed,
        promotions: run.promotions,
      };
    } finally {
      await requests?.close?.();
    }
  },
  async undo(context, input, before) {
    const trace = traceOf(input, before, rampPlan(before, input));
    const others = await takeBack(
      context,
      trace,
      "flag.ramp undone",
      input.reason ?? "the ramp is taken back",
    );
    const files = new RampFiles(context, input.source, input.flag);
    const record = await files.read();
    if (record !== undefined && record.run === (context.runId ?? null)) await files.end(record.token);
    if (others === undefined) return { undone: true };
    return {
      undone: false,
      note: `flag ${input.flag} was ${whatBecame(others)} by somebody else in the meantime and is left as it is: ops flag history ${input.flag}`,
    };
  },
  render({ flag, variant, share, steps, promotions }) {
    return [
      ...steps.map((step) => passedLine(variant, step)),
      ...promotions.map((each) => promotedLine(variant, each)),
      `flag ${flag}: ${variant} for ${formatPercent(share)} of the users`,
    ].join("\n");
  },
});

const listed = new Intl.ListFormat("en-GB");

function pauseClause(flag: string, { pause }: RampStep): string[] {
  if (pause === undefined) return [];
  const limit = pause.pause === null ? "" : ` (at most ${formatDuration(pause.pause)})`;
  return [`wait for ops flag promote ${flag}${limit}`];
}

/** What counts the requests of both variants; undefined where only time and the gate judge. */
function countedBy(
  { environment }: OperationContext,
  { flag, source, judge }: RampInput,
  { to, other }: RampPlan,
): RequestSource | undefined {
  if (judge === "time") return undefined;
  const metrics = environment.flagMetrics(source, flag, [to, other]);
  return metrics === undefined ? undefined : openMetricsSource(metrics);
}

function refuseUnjudged({ flag, judge }: RampInput): void {
  if (judge !== "metrics") return;
  throw new UsageError("E_REQUEST_SOURCE", `Nothing counts the requests of flag ${flag} by variant`, {
    hint: 'name what does under "metrics:" of its flag source in .opsrc (docs/flags.md), or judge by time',
  });
}

function traceOf({ flag, source }: RampInput, before: FlagBefore, { steps }: RampPlan): RampTrace {
  const definition = existing(before.definition);
  return { flag, source, before: definition, given: steps.map((step) => step.definition) };
}

/** What the flag is now. Throws as `RampFlag.require` does where that is neither of before nor of a step. */
async function presentOf(flag: RampFlag, { before, given }: RampTrace): Promise<FlagDefinition> {
  const present = await flag.read();
  const known = [before, ...given].find((each) => sameJson(each, present));
  if (known !== undefined) return known;
  await flag.require(before);
  throw new Error(`the flag is at ${present === null ? "nothing" : describeState(present)}`);
}

function weightsNow(
  { to, other, present: share, steps }: RampPlan,
  { before }: RampTrace,
  present: FlagDefinition,
) {
  const step = steps.find(({ definition }) => sameJson(definition, present));
  if (step !== undefined && !sameJson(present, before)) return step.weights;
  return { [to]: share, [other]: 100 - share };
}
