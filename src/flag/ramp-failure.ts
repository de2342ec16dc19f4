import { errorRecord, OpsError } from "../core/errors.ts";
import { formatPercent } from "../core/percent.ts";
import type { Failed } from "../rollout/bake.ts";
import { staysWhereStopped } from "../rollout/stopped.ts";
import type { OperationContext } from "../run/context.ts";
import type { RampStepResult } from "./ramp-checkpoint.ts";
import { type RampTrace, takeBack, whatBecame } from "./ramp-flag.ts";
import type { RampInput } from "./ramp-input.ts";

/** The error of a step that did not pass, with all its figures. */
export function rampFailure(
  input: RampInput,
  {
    verdict,
    reasons,
    result,
  }: Pick<Failed, "verdict" | "reasons"> & { readonly result: Failed["result"] | null },
  share: number,
  passed: readonly RampStepResult[],
): OpsError {
  const details = { verdict, reasons: [...reasons], share, figures: result, passed: [...passed] };
  if (verdict === "abort") {
    return new OpsError("E_RAMP_ABORTED", reasons.join("; "), {
      hint: "the flag is what it was before the ramp; see what the variant does in the application's own logs",
      details,
      retryable: false,
    });
  }
  const holds = input[verdict === "unpromoted" ? "unpromoted" : "inconclusive"] === "hold";
  const flag = holds ? "the flag stays at this step" : "the flag is what it was before the ramp";
  if (verdict === "unpromoted") {
    const way = holds
      ? "ops runs resume waits again, ops runs rollback takes it back"
      : "give the pause more time, or say what follows it: unpromoted";
    return new OpsError("E_RAMP_NOT_PROMOTED", reasons.join("; "), { hint: `${flag}; ${way}`, details });
  }
  return new OpsError(
    "E_RAMP_INCONCLUSIVE",
    `The ramp has no verdict at ${formatPercent(share)}: ${reasons.join("; ")}`,
    {
      hint: `${flag}; bake longer, lower min-requests, see why figures are missing, or judge by time alone: judge: time`,
      details,
    },
  );
}

/** Codes with which the flag stays: it is somebody else's by now, or the run is. */
const othersTurn: readonly string[] = ["E_FLAG_CHANGED", "E_FLAG_KILLED", "E_LOCK_LOST"];

/**
 * Whether the flag stays at a step although the step did not pass: the run can go on from there (Ctrl-C, a hold), or the
 * flag is somebody else's by now. Everything else, a timeout and SIGTERM included, takes it back.
 */
export function holdsFlag(
  error: unknown,
  input: RampInput,
  context: Pick<OperationContext, "signal" | "stop">,
): boolean {
  if (error instanceof OpsError) {
    if (othersTurn.includes(error.code)) return true;
    if (error.code === "E_RAMP_INCONCLUSIVE" && input.inconclusive === "hold") return true;
    if (error.code === "E_RAMP_NOT_PROMOTED" && input.unpromoted === "hold") return true;
  }
  return staysWhereStopped(error, input["on-crash"], context);
}

/** Whether a flag that stays is nobody's to take back any more. */
export function isOthers(error: unknown): boolean {
  return error instanceof OpsError && (error.code === "E_FLAG_CHANGED" || error.code === "E_FLAG_KILLED");
}

/** Milliseconds to take the flag back in, also when the run's own time is over. */
const restoreLimit = 10_000;

/**
 * Makes the flag what it was before; answers with a line that says so. Throws `E_FLAG_NOT_RESTORED`, which carries the first error, where
 * that fails.
 */
export async function takeFlagBack(
  context: OperationContext,
  trace: RampTrace,
  because: unknown,
): Promise<string> {
  const { flag } = trace;
  try {
    const patient = { ...context, signal: AbortSignal.timeout(restoreLimit) };
    const reason = `the ramp failed: ${errorRecord(because).message}`;
    const others = await takeBack(patient, trace, "flag.ramp", reason);
    return others === undefined
      ? `flag ${flag} is what it was before the ramp`
      : `flag ${flag} was ${whatBecame(others)} by somebody else and is left as it is`;
  } catch (error) {
    throw new OpsError(
      "E_FLAG_NOT_RESTORED",
      `The ramp failed, and flag ${flag} could not be made what it was before`,
      {
        cause: because,
        hint: `as soon as its source answers: ops flag abort ${flag}, ops runs rollback, or ops flag kill ${flag}`,
        details: { failure: errorRecord(because).message, restore: errorRecord(error).message },
      },
    );
  }
}
