import { z } from "zod";
import type { GateSettings } from "../config/gate-file.ts";
import { formatDuration } from "../core/duration.ts";
import { ExitCode, OpsError, UsageError } from "../core/errors.ts";
import { pauseHeeding } from "../rollout/heeding.ts";
import { type ConfiguredCheck, configuredChecks } from "../run/configured-check.ts";
import type { OperationContext } from "../run/context.ts";
import { measureAlone } from "../run/measure-gate.ts";
import type { Report } from "../run/operation.ts";
import type { Route } from "./route.ts";

/** What a version is asked before it gets everything. */
export interface SwitchGate {
  readonly gate?: string | undefined;
  /** URLs. */
  readonly probe: readonly string[];
  /** Good looks in a row. */
  readonly looks: number;
  /** Milliseconds between two looks, and until one must have been the last. */
  readonly every: number;
  readonly within: number;
}

export const gateEvidence = z.object({
  looks: z.number().describe("Good looks in a row, of them the last is shown"),
  status: z.string().describe("Of the version, as the balancer calls it"),
  checks: z.array(z.object({ id: z.string(), status: z.string(), reason: z.string() })),
});
export type GateEvidence = z.output<typeof gateEvidence>;

/** Throws `E_GATE_INVALID` (usage) with every mistake in the gate and the probes. */
export async function gateChecks(context: OperationContext, input: SwitchGate): Promise<ConfiguredCheck[]> {
  const kinds = await context.checks();
  const probes: GateSettings = {
    unknown: "fail",
    checks: input.probe.map((url, index) => ({
      id: `probe-${index + 1}`,
      kind: "http",
      with: { url },
      required: true,
    })),
  };
  const own =
    input.gate === undefined ? [] : configuredChecks(input.gate, context.environment.gate(input.gate), kinds);
  return [...own, ...(input.probe.length === 0 ? [] : configuredChecks("probe", probes, kinds))];
}

/** Throws `E_SWITCH_GATE` (usage) where neither the balancer nor a check tells how a version is. */
export async function requireNews(
  route: Route,
  version: string,
  checks: readonly ConfiguredCheck[],
  signal: AbortSignal,
): Promise<void> {
  if (checks.length > 0) return;
  const state = (await route.driver.states(signal)).find((each) => each.version === version);
  if (state?.health !== "unknown") return;
  throw new UsageError(
    "E_SWITCH_GATE",
    `Nothing tells whether ${version} of route ${route.target.name} is well`,
    {
      hint: "its balancer knows no health: name a gate (--gate), or a URL of the version itself (--probe)",
    },
  );
}

/** Milliseconds that one check of a gate may take, where it has no timeout of its own. */
const checkLimit = 10_000;

/**
 * Waits until a version was well several times in a row: by the balancer's health checks, the probes and the gate. Throws
 * `E_SWITCH_GATE` (no-go) with what is wrong, when the time is over.
 */
export async function passGate(
  context: OperationContext,
  route: Route,
  version: string,
  input: SwitchGate,
  checks: readonly ConfiguredCheck[],
  report: Report,
  /** Throws where the switch must end. */
  onLook: () => Promise<void>,
): Promise<GateEvidence> {
  const { clock } = context;
  const end = clock.elapsed() + input.within;
  let good = 0;
  for (;;) {
    const { problem, evidence } = await lookAt(context, route, version, checks);
    good = problem === undefined ? good + 1 : 0;
    if (good === input.looks) return { looks: good, ...evidence };
    const message = problem ?? `${version} is well`;
    report.progress({ message, done: good, total: input.looks });
    if (problem !== undefined && clock.elapsed() >= end) {
      const wanted = input.looks === 1 ? "well" : `well ${input.looks} times in a row`;
      throw new OpsError(
        "E_SWITCH_GATE",
        `${version} was not ${wanted} within ${formatDuration(input.within)}: ${problem}`,
        {
          exitCode: ExitCode.noGo,
          hint: "no traffic was changed; mend what fails, then switch again",
          details: { version, problem, ...evidence },
          retryable: false,
        },
      );
    }
    await pauseHeeding(context, input.every, onLook);
  }
}

async function lookAt(
  context: OperationContext,
  route: Route,
  version: string,
  checks: readonly ConfiguredCheck[],
): Promise<{ problem: string | undefined; evidence: Omit<GateEvidence, "looks"> }> {
  const [states, results] = await Promise.all([
    route.driver.states(context.signal),
    Promise.all(checks.map((each) => measureAlone(context, each, checkLimit))),
  ]);
  const { health = "down", status = "gone" } = states.find((each) => each.version === version) ?? {};
  const failed = results
    .filter(({ counts }) => counts === "fail")
    .map(({ id, reason }) => `${id}: ${reason}`);
  const problems = [
    ...(health === "up" || health === "unknown" ? [] : [`${version} is ${status}`]),
    ...failed,
  ];
  return {
    problem: problems.length === 0 ? undefined : problems.join("; "),
    evidence: {
      status,
      checks: results.map(({ id, status: found, reason }) => ({ id, status: found, reason })),
    },
  };
}
