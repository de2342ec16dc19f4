import { errorRecord, OpsError } from "../core/errors.ts";
import { formatPercent } from "../core/percent.ts";
import type { Failed } from "../rollout/bake.ts";
import { formatShares, sameWeights } from "../rollout/shares.ts";
import type { StepResult } from "../rollout/step-result.ts";
import { staysWhereStopped } from "../rollout/stopped.ts";
import type { OperationContext } from "../run/context.ts";
import type { CanaryInput } from "./canary-input.ts";
import type { CanaryStep } from "./canary-steps.ts";
import type { Route } from "./route.ts";
import type { RouteBefore } from "./shift.ts";
import { dismissTesters } from "./testers.ts";

/** The error of a step that did not pass, with all its figures. */
export function canaryFailure(
  input: CanaryInput,
  { verdict, reasons, result }: Failed,
  step: number,
  passed: readonly StepResult[],
): OpsError {
  const details = { verdict, reasons: [...reasons], step, figures: result, passed: [...passed] };
  if (verdict === "abort") {
    return new OpsError("E_CANARY_ABORTED", reasons.join("; "), {
      hint: "the traffic is back where it was before; see the version's own logs",
      details,
      retryable: false,
    });
  }
  if (verdict === "unpromoted") {
    const [what, way] =
      input.unpromoted === "hold"
        ? ["the traffic stays at this step", "ops runs resume waits again, ops runs rollback takes it back"]
        : ["the traffic is back", "give the pause more time, or say what follows it: unpromoted"];
    return new OpsError("E_CANARY_NOT_PROMOTED", reasons.join("; "), { hint: `${what}; ${way}`, details });
  }
  const traffic = input.inconclusive === "hold" ? "the traffic stays at this step" : "the traffic is back";
  return new OpsError(
    "E_CANARY_INCONCLUSIVE",
    `The canary has no verdict at ${formatPercent(result.share)}: ${reasons.join("; ")}`,
    {
      hint: `${traffic}; send traffic, bake longer, lower min-requests, or see why figures are missing`,
      details,
    },
  );
}

/**
 * Whether the traffic stays at a step although the step did not pass: the run can go on from there (Ctrl-C, a hold),
 * or the weights are somebody else's by now. Everything else, a timeout and SIGTERM included, gives the traffic back.
 */
export function holdsTraffic(
  error: unknown,
  input: CanaryInput,
  context: Pick<OperationContext, "signal" | "stop">,
): boolean {
  if (error instanceof OpsError) {
    if (error.code === "E_TRAFFIC_DRIFT" || error.code === "E_LOCK_LOST") return true;
    if (error.code === "E_CANARY_INCONCLUSIVE" && input.inconclusive === "hold") return true;
    if (error.code === "E_CANARY_NOT_PROMOTED" && input.unpromoted === "hold") return true;
  }
  return staysWhereStopped(error, input["on-crash"], context);
}

/** Milliseconds to give the traffic back in, also when the run's own time is over, unless the driver needs longer. */
const restoreLimit = 10_000;

/**
 * Back to the weights of before, and the version's testers with them. Throws `E_TRAFFIC_NOT_RESTORED`, which carries the
 * first error, where that fails.
 */
export async function giveTrafficBack(
  route: Route,
  before: RouteBefore,
  step: CanaryStep,
  version: string,
  because: unknown,
): Promise<void> {
  await restore(route, before, step, because);
  try {
    await dismissTesters(route.target, version, AbortSignal.timeout(restoreLimit));
  } catch (error) {
    throw new OpsError(
      "E_TRAFFIC_NOT_RESTORED",
      `The canary failed; the traffic of route ${before.route} is back, but testers of ${version} may still get it`,
      {
        cause: because,
        hint: "take them out as soon as the balancer answers: ops traffic testers list, ops traffic testers remove",
        details: { failure: errorRecord(because).message, restore: errorRecord(error).message },
      },
    );
  }
}

async function restore(route: Route, before: RouteBefore, step: CanaryStep, because: unknown): Promise<void> {
  try {
    const limit = Math.max(restoreLimit, route.driver.patience ?? 0);
    await route.driver.setWeights(before.weights, AbortSignal.timeout(limit));
  } catch (error) {
    // Where only what comes after it failed (a state file that cannot be written), the traffic is back all the same.
    const present = await route.driver.weights(AbortSignal.timeout(restoreLimit)).catch(() => undefined);
    if (present !== undefined && sameWeights(present, before.weights)) return;
    const wanted = formatShares(before.weights);
    throw new OpsError(
      "E_TRAFFIC_NOT_RESTORED",
      `The canary failed and the traffic of route ${before.route} could not be given back; it was last ${formatShares(step.weights)}`,
      {
        cause: because,
        hint: `set ${wanted} as soon as the balancer answers: ops runs rollback, or ops traffic shift`,
        details: {
          failure: errorRecord(because).message,
          restore: errorRecord(error).message,
          wanted: before.weights,
        },
      },
    );
  }
}
