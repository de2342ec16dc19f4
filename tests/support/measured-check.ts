import { gateSettings } from "../../src/config/gate-file.ts";
import { gateSchema } from "../../src/config/schema.ts";
import type { Check } from "../../src/run/check.ts";
import { configuredChecks } from "../../src/run/configured-check.ts";
import type { OperationContext } from "../../src/run/context.ts";
import { type CheckResult, measureCheck } from "../../src/run/measure-check.ts";

/** One check as a gate has it, read and measured as a gate does. Throws `E_GATE_INVALID` where it is written wrongly. */
export async function measuredCheck(
  context: OperationContext,
  checks: readonly Check[],
  settings: object,
): Promise<CheckResult> {
  const gate = gateSettings("g", gateSchema.parse({ checks: [{ id: "c", ...settings }] }), ".");
  const [configured] = configuredChecks("g", gate, new Map(checks.map((each) => [each.kind, each])));
  if (configured === undefined) throw new Error("the gate has no check");
  return measureCheck(context, configured, 30_000);
}
