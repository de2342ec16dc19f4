import { clockTolerance, type NewNotice } from "../outbox/outbox.ts";
import type { ProcessIdentity } from "../process/live-process.ts";
import type { Ledger, Start, StartState } from "./ledger.ts";

/** How long what has ended is kept, in milliseconds. */
const kept = 90 * 86_400_000;
/** Before a schedule was first seen, so much of the past counts: the minute whose tick saw it. */
const firstReach = 60_000;

export interface Ending {
  readonly state: Exclude<StartState, "running">;
  readonly endedAt: number;
  readonly run: string | null;
  readonly exitCode: number | null;
  readonly message: string | null;
  readonly hint: string | null;
}

export function recordTick(ledger: Ledger, now: number): void {
  ledger.database
    .prepare("INSERT OR REPLACE INTO tick (environment, at) VALUES (?, ?)")
    .run(ledger.environment, now);
}

/**
 * A schedule that is new, or whose times have changed, owes nothing of the past; nor does one that was seen first while
 * this machine's clock was ahead.
 */
export function register(ledger: Ledger, name: string, definition: string, now: number): void {
  ledger.database
    .prepare(
      `INSERT INTO schedule (environment, name, definition, registered_at, counts_from) VALUES (?, ?, ?, ?, ?)
       ON CONFLICT (environment, name) DO UPDATE SET definition = excluded.definition, counts_from = excluded.counts_from
       WHERE definition <> excluded.definition`,
    )
    .run(ledger.environment, name, definition, now, now - firstReach);
  ledger.database
    .prepare(
      `UPDATE schedule SET registered_at = min(registered_at, ?1), counts_from = ?2, silent_since = min(silent_since, ?1)
       WHERE environment = ?3 AND name = ?4 AND (registered_at > ?5 OR counts_from > ?5)`,
    )
    .run(now, now - firstReach, ledger.environment, name, now + clockTolerance);
}

/** Makes a time this process's own. Undefined where another process has it; `skipped` where one before still runs. */
export function claim(
  ledger: Ledger,
  name: string,
  dueAt: number,
  now: number,
  supervisor: ProcessIdentity,
): Start | "skipped" | undefined {
  return ledger.transaction(() => {
    const newest = ledger.newest(name, now);
    if (newest !== undefined && newest.dueAt >= dueAt) return undefined;
    if (ledger.running(name) !== undefined) {
      insert(ledger, name, dueAt, "skipped", now, null);
      return "skipped";
    }
    insert(ledger, name, dueAt, "running", now, supervisor);
    return ledger.running(name);
  });
}

/** A time that came too late for its run. */
export function recordMissed(ledger: Ledger, name: string, dueAt: number, now: number): boolean {
  return ledger.transaction(() => {
    const newest = ledger.newest(name, now);
    if (newest !== undefined && newest.dueAt >= dueAt) return false;
    insert(ledger, name, dueAt, "missed", now, null);
    return true;
  });
}

function insert(
  ledger: Ledger,
  name: string,
  dueAt: number,
  state: StartState,
  now: number,
  supervisor: ProcessIdentity | null,
): void {
  ledger.database
    .prepare(
      // A start of that time which is left of a clock that was ahead makes room.
      `INSERT OR REPLACE INTO start (environment, name, due_at, state, attempt, started_at, ended_at, supervisor)
       VALUES (?, ?, ?, ?, 1, ?, ?, ?)`,
    )
    .run(
      ledger.environment,
      name,
      dueAt,
      state,
      now,
      state === "running" ? null : now,
      supervisor === null ? null : JSON.stringify(supervisor),
    );
}

/** Takes over what a process that is gone had begun. Undefined where another was faster. */
export function takeOver(
  ledger: Ledger,
  start: Start,
  now: number,
  supervisor: ProcessIdentity,
): Start | undefined {
  // Where nothing had run yet it is still the same attempt.
  const attempt = start.child === null ? start.attempt : start.attempt + 1;
  const { changes } = ledger.transaction(() =>
    ledger.database
      .prepare(
        `UPDATE start SET supervisor = ?, child = NULL, attempt = ?, started_at = ?
         WHERE id = ? AND state = 'running' AND attempt = ? AND supervisor = ?`,
      )
      .run(
        JSON.stringify(supervisor),
        attempt,
        now,
        start.id,
        start.attempt,
        JSON.stringify(start.supervisor),
      ),
  );
  return changes === 1 ? { ...start, supervisor, attempt, startedAt: now, child: null } : undefined;
}

/** Before the child does anything. */
export function recordChild(ledger: Ledger, start: Start, child: ProcessIdentity): void {
  ledger.transaction(() =>
    ledger.database.prepare("UPDATE start SET child = ? WHERE id = ?").run(JSON.stringify(child), start.id),
  );
}

/** How it ended, and who is to hear of it, both or neither. False where another process has said so already. */
export function finish(
  ledger: Ledger,
  start: Start,
  ending: Ending,
  notices: (wasAmiss: boolean) => readonly NewNotice[],
): boolean {
  return ledger.transaction(() => {
    const { changes } = ledger.database
      .prepare(
        `UPDATE start SET state = ?, ended_at = ?, run = ?, exit_code = ?, message = ?, hint = ?
         WHERE id = ? AND state = 'running' AND attempt = ?`,
      )
      .run(
        ending.state,
        ending.endedAt,
        ending.run,
        ending.exitCode,
        ending.message,
        ending.hint,
        start.id,
        start.attempt,
      );
    if (changes === 0) return false;
    const before = ledger.registered(start.name);
    const amiss = before !== undefined && (before.failing || before.silentSince !== null);
    ledger.database
      .prepare(
        "UPDATE schedule SET failing = ?, silent_since = CASE ? WHEN 1 THEN silent_since END WHERE environment = ? AND name = ?",
      )
      .run(ending.state === "done" ? 0 : 1, ending.state === "done" ? 0 : 1, ledger.environment, start.name);
    ledger.outbox.insert(notices(amiss), ending.endedAt);
    forgetOld(ledger, start.name, ending.endedAt);
    return true;
  });
}

/** Once for each silence. */
export function recordSilence(
  ledger: Ledger,
  name: string,
  now: number,
  notices: readonly NewNotice[],
): boolean {
  return ledger.transaction(() => {
    const { changes } = ledger.database
      .prepare(
        "UPDATE schedule SET silent_since = ? WHERE environment = ? AND name = ? AND silent_since IS NULL",
      )
      .run(now, ledger.environment, name);
    if (changes === 1) ledger.outbox.insert(notices, now);
    return changes === 1;
  });
}

function forgetOld(ledger: Ledger, name: string, now: number): void {
  ledger.database
    .prepare(
      `DELETE FROM start WHERE environment = ?1 AND name = ?2 AND state <> 'running' AND due_at < ?3 AND id NOT IN (
         SELECT id FROM start WHERE environment = ?1 AND name = ?2 AND state = 'done' ORDER BY due_at DESC LIMIT 1
       )`,
    )
    .run(ledger.environment, name, now - kept);
}
