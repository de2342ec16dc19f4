import { canonicalJson, digest } from "../core/digest.ts";
import type { ConfiguredCheck } from "./configured-check.ts";
import type { OperationContext } from "./context.ts";
import { GateRecord } from "./gate-record.ts";
import type { CheckResult } from "./measure-check.ts";

/** Clocks are set right by seconds; a result from further ahead was kept while this machine's clock was wrong. */
const clockTolerance = 5 * 60_000;
/** Results kept for an environment; beyond that the oldest go. */
const most = 1000;

type FreshCheck = ConfiguredCheck & { readonly freshFor: number };

export function staysFresh(configured: ConfiguredCheck): configured is FreshCheck {
  return configured.freshFor !== undefined;
}

/**
 * Of a check and of the places that it may measure: a result of the same check for another database is none of this one.
 */
export async function keptDigest(
  { environment }: Pick<OperationContext, "environment">,
  check: ConfiguredCheck,
): Promise<string> {
  const places = await environment.places();
  return digest(canonicalJson({ check: check.digest, settings: environment.digest(), places }));
}

/**
 * The newest result of a check where it is young enough and did not fail: what was amiss is looked at again. Undefined
 * where there is none. Throws `E_GATE_RECORD`.
 *
 * @param wanted what `keptDigest` says now
 */
export function keptResult(
  context: Pick<OperationContext, "environment" | "stateDirectory" | "clock">,
  check: FreshCheck,
  wanted: string,
): CheckResult | undefined {
  const record = GateRecord.openToRead(context.stateDirectory);
  if (record === undefined) return undefined;
  try {
    const row = record.read((database) =>
      database
        .prepare("SELECT * FROM kept_result WHERE environment = ? AND gate = ? AND check_id = ?")
        .get(context.environment.name, check.gate, check.id),
    );
    const age = context.clock.now().getTime() - Number(row?.measured_at);
    if (row === undefined || row.digest !== wanted || age > check.freshFor || age < -clockTolerance) {
      return undefined;
    }
    const result = JSON.parse(String(row.body)) as CheckResult;
    return { ...result, kept: { ...result.kept, ageMs: Math.max(0, age) } };
  } finally {
    record.close();
  }
}

/** Durable when it returns; the newest one of each check. One that failed makes room. Throws `E_GATE_RECORD`. */
export function keepResult(
  context: Pick<OperationContext, "environment" | "stateDirectory" | "runId">,
  check: FreshCheck,
  wanted: string,
  result: CheckResult,
): void {
  const environment = context.environment.name;
  const record = GateRecord.open(context.stateDirectory);
  try {
    record.write((database) => {
      database
        .prepare("DELETE FROM kept_result WHERE environment = ? AND gate = ? AND check_id = ?")
        .run(environment, check.gate, check.id);
      if (result.status !== "pass" && result.status !== "warn") return;
      const kept = { ...result, kept: { ageMs: 0, ...(context.runId && { run: context.runId }) } };
      database
        .prepare(
          `INSERT INTO kept_result (environment, gate, check_id, digest, measured_at, body) VALUES (?, ?, ?, ?, ?, ?)`,
        )
        .run(environment, check.gate, check.id, wanted, Date.parse(result.endedAt), JSON.stringify(kept));
      database
        .prepare(
          `DELETE FROM kept_result WHERE environment = ?1 AND rowid NOT IN (
             SELECT rowid FROM kept_result WHERE environment = ?1 ORDER BY measured_at DESC LIMIT ?2)`,
        )
        .run(environment, most);
    });
  } finally {
    record.close();
  }
}
