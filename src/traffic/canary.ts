import { z } from "zod";
import { formatDuration } from "../core/duration.ts";
import { formatPercent } from "../core/percent.ts";
import { beginComparison, followTimes } from "../rollout/begin-comparison.ts";
import { requireFigures } from "../rollout/figures.ts";
import { promotion } from "../rollout/promotion.ts";
import { formatShares, sharesOf, type Weights } from "../rollout/shares.ts";
import { stepResult } from "../rollout/step-result.ts";
import { verdictLine } from "../rollout/verdict-line.ts";
import type { OperationContext } from "../run/context.ts";
import { defineOperation, type Report } from "../run/operation.ts";
import { placeToResume } from "./canary-checkpoint.ts";
import { drainedField, drainedLine } from "./canary-drain.ts";
import { type CanaryGuard, earlierIsOver, forgetEarlier, guardCanary } from "./canary-guard.ts";
import { type CanaryInput, canaryInput } from "./canary-input.ts";
import { CanaryFiles } from "./canary-record.ts";
import { CanaryRun, isShared, isWhole, promotedLine } from "./canary-run.ts";
import { type CanaryStep, canarySteps, lastStep } from "./canary-steps.ts";
import { refuseDrift } from "./drift.ts";
import { openRoute, type Route, requireCounted } from "./route.ts";
import { confirmShare } from "./share-confirmation.ts";
import { observeRoute, type RouteBefore, requireUp, restoreWeights } from "./shift.ts";
import { dismissTesters, requireTesters } from "./testers.ts";

const output = z.object({
  verdict: z.enum(["pass", "skipped"]).describe("skipped: by skip-bake; every other end is an error"),
  route: z.string(),
  version: z.string(),
  weights: z.record(z.string(), z.number()),
  steps: z.array(stepResult),
  promotions: z.array(promotion).describe("Of its pauses"),
  inFlight: z
    .record(z.string(), z.number())
    .nullable()
    .describe(
      "Requests still at the versions that have lost their traffic; null: none has, or the balancer does not tell",
    ),
  drained: drainedField,
  confirmed: z
    .boolean()
    .describe("Whether requests were seen to split as intended; what skipped its bake may end without"),
});

export const canary = defineOperation({
  name: "traffic.canary",
  summary: "Give a version more and more traffic, and all of it back as soon as it does badly",
  example: "traffic canary green --steps 10%,50%,100% --bake 10m",
  effect: "change",
  input: canaryInput,
  positional: ["to"],
  output,
  targets: ({ route }, environment) => [`route:${environment.route(route).name}`],
  async observe(context, input): Promise<RouteBefore> {
    const route = openRoute(context.environment, input.route);
    if (input["skip-bake"] === undefined) {
      await using counted = requireCounted(route, "a canary");
      await requireFigures(
        `route ${counted.target.name}`,
        counted.requests,
        input["abort-when"],
        context.signal,
      );
    }
    if (input.testers.length > 0) await requireTesters(route.target).requireSettable(context.signal);
    return observeRoute(route, input.to, context.signal);
  },
  plan(before, { to, steps, testers, bake: bakeTime, "skip-bake": skipped }) {
    if (skipped !== undefined) {
      const step = lastStep(canarySteps(before, to, steps));
      return [
        {
          target: `route:${before.route}`,
          action: "update" as const,
          summary: `give ${to} ${formatPercent(step.share)} of the traffic at once, unwatched: ${skipped}`,
          from: sharesOf(before.weights),
          to: sharesOf(step.weights),
        },
      ];
    }
    let from = before.weights;
    const invited = {
      target: `testers:${before.route}`,
      action: "create" as const,
      summary: `send testers to ${to}: ${testers.join(", ")}`,
    };
    const shares = canarySteps(before, to, steps).map((step) => {
      const given =
        step.stage === "before"
          ? [`leave ${to} at ${formatPercent(step.share)} of the traffic`]
          : [
              `give ${to} ${formatPercent(step.share)} of the traffic`,
              `watch it for ${formatDuration(bakeTime)}`,
            ];
      const change = {
        target: `route:${before.route}`,
        action: "update" as const,
        summary: listed.format([...given, ...pauseClause(before.route, step)]),
        ...(step.stage === "share" && { from: sharesOf(from), to: sharesOf(step.weights) }),
      };
      from = step.weights;
      return change;
    });
    return testers.length === 0 ? shares : [invited, ...shares];
  },
  apply: (context, input, before, report) => roll(context, input, before, report),
  async undo(context, { route, to }, before) {
    const opened = openRoute(context.environment, route);
    const result = await restoreWeights(context, opened, before);
    await dismissTesters(opened.target, to, context.signal);
    const files = new CanaryFiles(context, before.route);
    const record = await files.read();
    if (record === undefined || record.run === (context.runId ?? null)) await files.forget();
    return result;
  },
  render({ route, version, weights, steps, promotions, inFlight, drained, confirmed }) {
    const left = drainedLine(drained, inFlight);
    return [
      ...steps.map((step) => verdictLine(version, "pass", step)),
      ...promotions.map((each) => promotedLine(version, each)),
      `route ${route}: ${formatShares(weights)}`,
      ...(left === undefined ? [] : [left]),
      ...(confirmed ? [] : ["the share is not confirmed by requests yet"]),
    ].join("\n");
  },
});

/**
 * A whole canary.
 *
 * @param begun what guards it where that has begun before; it is over with the canary
 */
export async function roll(
  context: OperationContext,
  input: CanaryInput,
  before: RouteBefore,
  report: Report,
  begun?: CanaryGuard,
): Promise<z.output<typeof output>> {
  const opened = openRoute(context.environment, input.route);
  const steps = canarySteps(before, input.to, input.steps);
  const present = await presentWeights(context, opened, before, steps).catch(async (error: unknown) => {
    // Nothing was changed yet.
    await begun?.over();
    throw error;
  });
  if (input["skip-bake"] !== undefined) {
    const { weights } = lastStep(steps);
    await requireUp(opened, input.to, context.signal);
    await opened.driver.setWeights(weights, context.signal, present);
    await forgetEarlier(context, before.route);
    report.log(`gave ${input.to} ${formatShares(weights)} without a bake: ${input["skip-bake"]}`);
    // Whoever is sent there by name would go there without it.
    if (isWhole(lastStep(steps), input.to)) await dismissTesters(opened.target, input.to, context.signal);
    if (context.runId !== undefined) {
      await new CanaryFiles(context, before.route).passed({ run: context.runId, version: input.to });
    }
    const seen = await confirmShare(context, opened, input.to, weights, skippedPatience, report);
    return {
      verdict: "skipped" as const,
      route: before.route,
      version: input.to,
      weights,
      steps: [],
      promotions: [],
      inFlight: null,
      drained: null,
      confirmed: seen.verdict === "agrees",
    };
  }
  await using route = requireCounted(opened, "a canary");
  const place = placeToResume(report.last, before.weights, steps, present);
  await using times = followTimes(context, route, input);
  const guard = begun ?? (await guardCanary(context, before, input.to, input["on-crash"]));
  const comparison = steps.some((step) => isShared(step, input.to))
    ? await beginComparison(context, {
        watched: route,
        what: `route ${before.route}`,
        input,
        report,
        times,
        state: place.comparison,
        onLook: () => guard.refuseAborted(),
        // Nothing was changed yet.
        onFailure: () => guard.over(),
      })
    : undefined;

  const parts = { context, input, before, route, report, times, comparison, guard, steps };
  const run = new CanaryRun(parts, place);
  await run.toTheEnd();
  const { passed, promotions, inFlight, drained } = run;
  const { weights } = lastStep(steps);
  return {
    verdict: "pass" as const,
    route: before.route,
    version: input.to,
    weights,
    steps: passed,
    promotions,
    inFlight,
    drained,
    confirmed: true,
  };
}

/** Milliseconds in which requests may confirm the share of what skips its bake. */
const skippedPatience = 10_000;

/** Throws `E_TRAFFIC_DRIFT` where they are neither those of before nor those of a step. */
async function presentWeights(
  context: OperationContext,
  { driver }: Route,
  before: RouteBefore,
  steps: readonly CanaryStep[],
): Promise<Weights> {
  await earlierIsOver(context, before.route);
  const present = await driver.weights(context.signal);
  refuseDrift(before.route, present, [before.weights, ...steps.map((step) => step.weights)]);
  return present;
}

const listed = new Intl.ListFormat("en-GB");

function pauseClause(route: string, { pause }: CanaryStep): string[] {
  if (pause === undefined) return [];
  const limit = pause.pause === null ? "" : ` (at most ${formatDuration(pause.pause)})`;
  return [`wait for ops traffic promote ${route}${limit}`];
}
