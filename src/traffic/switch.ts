import { z } from "zod";
import { formatDuration } from "../core/duration.ts";
import { OpsError } from "../core/errors.ts";
import { percent } from "../core/percent.ts";
import { duration, name } from "../core/schema.ts";
import { abortWhen } from "../rollout/limits.ts";
import { formatShares, sharesOf, weightsForShare } from "../rollout/shares.ts";
import { stepResult } from "../rollout/step-result.ts";
import { intervalField, minRequestsField } from "../rollout/watch-fields.ts";
import { defineOperation } from "../run/operation.ts";
import { canary, roll } from "./canary.ts";
import { drainedField, drainedLine } from "./canary-drain.ts";
import { earlierIsOver, guardCanary } from "./canary-guard.ts";
import { type CanaryInput, canaryInput } from "./canary-input.ts";
import { openRoute } from "./route.ts";
import type { RouteBefore } from "./shift.ts";
import { gateChecks, gateEvidence, passGate, requireNews } from "./switch-gate.ts";

const input = z.strictObject({
  route: name("The route; default: the only one, or the one called web").optional(),
  to: name("The version that gets all traffic"),
  gate: name("A gate of .opsrc about this version, which must say go").optional(),
  probe: z
    .array(z.string())
    .default([])
    .describe("URLs of the version itself, past the balancer, which must answer with 2xx or 3xx"),
  looks: z.int().min(1).max(1000).default(3).describe("How many good looks in a row the version needs"),
  every: duration("How long between two looks").prefault("1s"),
  within: duration("How long the version may take to be well").prefault("1m"),
  window: duration("How long it is watched with all traffic; until then it goes back by itself").prefault(
    "5m",
  ),
  "return-when": abortWhen
    .prefault({})
    .describe("Limits that give the traffic back to the version of before"),
  interval: intervalField("How often the figures are looked at"),
  "min-requests": minRequestsField("Answered requests that the window needs; with fewer there is no verdict"),
  deadline: duration(
    "How long the traffic may take to show in the requests; default: the window, at least 10s",
  ).optional(),
  inconclusive: z
    .enum(["fail", "hold"])
    .default("fail")
    .describe(
      "What follows a window without a verdict: fail gives the traffic back, hold leaves it and stops for a person",
    ),
  "on-crash": z
    .enum(["return", "hold"])
    .default("return")
    .describe(
      "When ops is killed, told to end (SIGTERM, SIGHUP), or hangs for 30 seconds, within the window",
    ),
  drain: duration("How long to wait until no request is at the version of before any more").prefault("30s"),
});
type SwitchInput = z.output<typeof input>;

type SwitchBefore = RouteBefore & { checks: string[] };

const output = z.object({
  verdict: z
    .enum(["pass", "unchanged"])
    .describe("unchanged: it had all traffic; every other end is an error"),
  route: z.string(),
  version: z.string(),
  weights: z.record(z.string(), z.number()),
  gate: gateEvidence.nullable().describe("Null where it had passed before, in a run that was resumed"),
  window: stepResult.nullable(),
  inFlight: z
    .record(z.string(), z.number())
    .nullable()
    .describe("Requests still at the versions of before; null where the balancer does not tell"),
  drained: drainedField,
});

/** What of a canary's output is told on. */
const watched = z.object({
  steps: z.array(stepResult),
  inFlight: output.shape.inFlight,
  drained: drainedField,
});

/**
 * Blue-green: a gate, all traffic in one step, and a window in which it goes back by itself. The step is that of a
 * canary: with its watchdog, its abort from another terminal, and its way back after a crash.
 */
export const switchOver = defineOperation({
  name: "traffic.switch",
  summary: "Give a version all traffic at once when it is well, and take it back when it does badly",
  example: "traffic switch green --probe http://10.0.0.2:8080/health --window 5m",
  effect: "change",
  input,
  positional: ["to"],
  output,
  targets: ({ route }, environment) => [`route:${environment.route(route).name}`],
  async observe(context, given): Promise<SwitchBefore> {
    const checks = await gateChecks(context, given);
    const before = (await canary.observe(context, canaryOf(given))) as RouteBefore;
    await requireNews(openRoute(context.environment, given.route), given.to, checks, context.signal);
    return { ...before, checks: checks.map(({ id }) => id) };
  },
  plan(before, { to, looks, window: time }) {
    if (hasEverything(before, to)) return [];
    const target = `route:${before.route}`;
    const asked = before.checks.length === 0 ? "" : ` (${before.checks.join(", ")})`;
    const times = looks === 1 ? "" : ` ${looks} times in a row`;
    return [
      { target, action: "run", summary: `wait until ${to} is well${times}${asked}` },
      {
        target,
        action: "update",
        summary: `give ${to} all traffic at once and watch it for ${formatDuration(time)}`,
        from: sharesOf(before.weights),
        to: sharesOf(weightsForShare(before.weights, to, percent(100), before.scale)),
      },
    ];
  },
  async apply(context, given, before, report) {
    const { to } = given;
    const route = openRoute(context.environment, given.route);
    const common = { route: before.route, version: to };
    if (hasEverything(before, to)) {
      const { weights } = before;
      const nothing = { gate: null, window: null, inFlight: null, drained: null };
      return { ...common, verdict: "unchanged" as const, weights, ...nothing };
    }
    await earlierIsOver(context, before.route);
    const present = await route.driver.weights(context.signal);
    const isSwitched = hasEverything({ weights: present }, to);
    const guard = await guardCanary(context, before, to, given["on-crash"]);
    const asked = async () => {
      const checks = await gateChecks(context, given);
      const passed = await passGate(context, route, to, given, checks, report, () => guard.refuseAborted());
      await guard.refuseAborted();
      return passed;
    };
    const gate = isSwitched
      ? null
      : await asked().catch(async (error: unknown) => {
          // Nothing was changed yet.
          await guard.over();
          throw endedAtGate(error, to);
        });
    if (gate !== null) {
      report.log(`${to} is well: ${gate.looks} good looks in a row`);
      // Only evidence: a resumed run goes through the gate again, unless the version has the traffic already.
      if (report.last === undefined) await report.checkpoint({ phase: "gated", gate });
    }
    const seen = watched.parse(
      await roll(context, canaryOf(given), before, report, guard).catch((error: unknown) => {
        throw switchError(error, to);
      }),
    );
    const weights = await route.driver.weights(context.signal);
    const window = seen.steps.at(-1) ?? null;
    const { inFlight, drained } = seen;
    return { ...common, verdict: "pass" as const, weights, gate, window, inFlight, drained };
  },
  undo: (context, given, before, report) => {
    if (canary.undo === undefined) throw new Error("a canary can be undone");
    return canary.undo(context, canaryOf(given), before, report);
  },
  render({ verdict, route, version, weights, window, inFlight, drained }) {
    if (verdict === "unchanged") return `route ${route}: ${version} had all traffic already`;
    const figures =
      window === null
        ? ""
        : `: ${window.requests} requests, ${window.errors} bad (${window.errorRate.toFixed(1)}%) in ${formatDuration(window.bakedMs)}`;
    const left = drainedLine(drained, inFlight);
    const end = left === undefined ? "" : `\n${left}`;
    return `${version} passed its window${figures}\nroute ${route}: ${formatShares(weights)}${end}`;
  },
});

function hasEverything({ weights }: Pick<RouteBefore, "weights">, version: string): boolean {
  return sharesOf(weights)[version] === 100;
}

/** A canary of one step, which is compared with nobody: the other version has nothing to compare with. */
function canaryOf(given: SwitchInput): CanaryInput {
  const { route, to, window: time, deadline, interval, inconclusive, drain } = given;
  return {
    ...canaryInput.parse({ to, steps: ["100%"], compare: { alpha: "0%" } }),
    ...(route === undefined ? {} : { route }),
    ...(deadline === undefined ? {} : { deadline }),
    bake: time,
    extensions: 0,
    interval,
    inconclusive,
    drain,
    "min-requests": given["min-requests"],
    "abort-when": given["return-when"],
    "on-crash": given["on-crash"],
  };
}

function endedAtGate(error: unknown, version: string): unknown {
  if (!(error instanceof OpsError) || error.code !== "E_CANARY_ABORTED") return error;
  return new OpsError("E_SWITCH_RETURNED", `The switch to ${version} ended at its gate: ${error.message}`, {
    hint: "no traffic was changed",
    ...(error.details === undefined ? {} : { details: error.details }),
    retryable: false,
  });
}

function switchError(error: unknown, version: string): unknown {
  if (!(error instanceof OpsError)) return error;
  const { message, hint, details } = error;
  const options = { ...(hint === undefined ? {} : { hint }), ...(details === undefined ? {} : { details }) };
  if (error.code === "E_CANARY_ABORTED") {
    return new OpsError("E_SWITCH_RETURNED", `The switch to ${version} went back: ${message}`, {
      ...options,
      retryable: false,
    });
  }
  if (error.code === "E_CANARY_INCONCLUSIVE") {
    const reason = message.replace(/^.*? has no verdict at 100%: /, "");
    return new OpsError(
      "E_SWITCH_INCONCLUSIVE",
      `The switch to ${version} has no verdict: ${reason}`,
      options,
    );
  }
  return error;
}
