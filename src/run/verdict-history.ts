import { GateRecord } from "./gate-record.ts";
import type { GateResult } from "./gate-verdict.ts";

/** Verdicts kept for each gate of an environment; the journal of their runs has them all. */
const most = 100;

/** Durable when it returns. Throws `E_GATE_RECORD`. */
export function keepVerdict(stateDirectory: string, result: GateResult): void {
  const { environment, gate } = result;
  const record = GateRecord.open(stateDirectory);
  try {
    record.write((database) => {
      database
        .prepare("INSERT INTO verdict (environment, gate, at, body) VALUES (?, ?, ?, ?)")
        .run(environment, gate, Date.parse(result.endedAt), JSON.stringify(result));
      database
        .prepare(
          `DELETE FROM verdict WHERE environment = ?1 AND gate = ?2 AND id NOT IN (
             SELECT id FROM verdict WHERE environment = ?1 AND gate = ?2 ORDER BY id DESC LIMIT ?3)`,
        )
        .run(environment, gate, most);
    });
  } finally {
    record.close();
  }
}

/** Newest first, in the order in which they were kept. Throws `E_GATE_RECORD`. */
export function newestVerdicts(
  stateDirectory: string,
  environment: string,
  gate: string,
  limit = 1,
): GateResult[] {
  const record = GateRecord.openToRead(stateDirectory);
  if (record === undefined) return [];
  try {
    const rows = record.read((database) =>
      database
        .prepare("SELECT body FROM verdict WHERE environment = ? AND gate = ? ORDER BY id DESC LIMIT ?")
        .all(environment, gate, limit),
    );
    return rows.map((row) => JSON.parse(String(row.body)) as GateResult);
  } finally {
    record.close();
  }
}
