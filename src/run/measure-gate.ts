import { configuredChecks } from "./configured-check.ts";
import type { OperationContext } from "./context.ts";
import { type GateResult, verdict } from "./gate-verdict.ts";
import { type CheckResult, measureCheck } from "./measure-check.ts";

/**
 * All checks of a gate at once, and its verdict. Throws `E_GATE_INVALID` before anything is measured where the gate has
 * mistakes; a no-go is a result.
 *
 * @param usualTimeout milliseconds that a check without a timeout of its own may take
 * @param measured told of each result as it comes
 */
export async function measureGate(
  context: OperationContext,
  gate: string,
  usualTimeout: number,
  measured: (result: CheckResult, done: number, total: number) => void = () => {},
): Promise<GateResult> {
  const configured = configuredChecks(gate, context.environment.gate(gate), await context.checks());
  let done = 0;
  const checks = await Promise.all(
    configured.map(async (each) => {
      const result = await measureCheck(context, each, usualTimeout);
      done += 1;
      measured(result, done, configured.length);
      return result;
    }),
  );
  return verdict(gate, checks);
}
