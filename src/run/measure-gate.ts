import { hostname } from "node:os";
import { version } from "../process/version.ts";
import { type ConfiguredCheck, configuredChecks, gateDigest } from "./configured-check.ts";
import type { OperationContext } from "./context.ts";
import { activeOverrides, overridesIn } from "./gate-override.ts";
import { type GateResult, overridden, verdict } from "./gate-verdict.ts";
import { keepResult, keptDigest, keptResult, staysFresh } from "./kept-result.ts";
import { type CheckResult, counted, measureCheck } from "./measure-check.ts";

export interface GateChoices {
  /** Results that are still fresh do not count. */
  readonly anew?: boolean;
}

/**
 * All checks of a gate at once, and its verdict, with the overrides that hold at its end. Throws `E_GATE_INVALID` before
 * anything is measured where the gate has mistakes, `E_GATE_RECORD` where what gates remember cannot be read; a no-go is a result.
 *
 * @param usualTimeout milliseconds that a check without a timeout of its own may take
 * @param measured told of each result as it comes
 */
export async function measureGate(
  context: OperationContext,
  gate: string,
  usualTimeout: number,
  measured: (result: CheckResult, done: number, total: number) => void = () => {},
  { anew = false }: GateChoices = {},
): Promise<GateResult> {
  const { clock, environment, stateDirectory } = context;
  const settings = environment.gate(gate);
  const configured = configuredChecks(gate, settings, await context.checks());
  const place = { environment: environment.name, gate };
  const overrides = () => activeOverrides(overridesIn(stateDirectory, place), clock.now());
  const known = overrides();
  const startedAt = clock.now().toISOString();
  const started = clock.elapsed();
  let done = 0;
  const results = await Promise.all(
    configured.map(async (each) => {
      const result = await resultOf(context, each, usualTimeout, anew);
      done += 1;
      measured(overridden(result, known.get(each.id)), done, configured.length);
      return result;
    }),
  );
  // What was given, has expired or was revoked while it was measured counts as it stands now.
  const active = overrides();
  const about = {
    ...place,
    startedAt,
    endedAt: clock.now().toISOString(),
    durationMs: Math.round(clock.elapsed() - started),
    configuration: gateDigest(settings),
    actor: context.actor,
    host: hostname(),
    version,
    ...(context.runId === undefined ? {} : { run: context.runId }),
  };
  return verdict(
    about,
    results.map((each) => overridden(each, active.get(each.id))),
  );
}

/**
 * One check by itself, as its gate would count it: kept where it is still fresh, and with the override that holds for it.
 * Throws `E_GATE_RECORD`.
 */
export async function measureAlone(
  context: OperationContext,
  check: ConfiguredCheck,
  usualTimeout: number,
): Promise<CheckResult> {
  const result = await resultOf(context, check, usualTimeout, false);
  const place = { environment: context.environment.name, gate: check.gate, check: check.id };
  const active = activeOverrides(overridesIn(context.stateDirectory, place), context.clock.now());
  return overridden(result, active.get(check.id));
}

/** What was kept, where that is still fresh; else measured, and kept where it is to stay fresh. */
async function resultOf(
  context: OperationContext,
  check: ConfiguredCheck,
  usualTimeout: number,
  anew: boolean,
): Promise<CheckResult> {
  if (!staysFresh(check)) return measureCheck(context, check, usualTimeout);
  const wanted = await keptDigest(context, check);
  const kept = anew ? undefined : keptResult(context, check, wanted);
  if (kept !== undefined) {
    // What was found is kept; what the gate makes of it is as it is written now.
    const { why: _why, remedy: _remedy, ...found } = kept;
    const { required, why, remedy } = check;
    const texts = { ...(why === undefined ? {} : { why }), ...(remedy === undefined ? {} : { remedy }) };
    return { ...found, ...texts, required, counts: counted(check, found.status) };
  }
  const result = await measureCheck(context, check, usualTimeout);
  keepResult(context, check, wanted, result);
  return result;
}
