import { OpsError } from "../core/errors.ts";
import { waitsHarmlessly } from "./autocommit.ts";
import { claim, claimInFile, commitPlace, keepPlace } from "./claimed-place.ts";
import { judgeCompletion } from "./completion.ts";
import { concurrentDetachment, detachmentState, finalizeDetachment } from "./detach-partition.ts";
import { doneUntil, resumeAt, unclearEnd } from "./half-done-file.ts";
import { leftoversOf } from "./leftovers.ts";
import { type LockLimits, retryOnLocks } from "./lock-retries.ts";
import { forgetProgress, recordProgress, type StatementProgress } from "./progress-table.ts";
import type { MigrationSession } from "./session.ts";
import { begin, commit, send } from "./sql-message.ts";
import {
  forgetSettings,
  mayCommit,
  refuseThroughPooler,
  restoreSettings,
  runsAlone,
  withinLimits,
} from "./statement-session.ts";
import type { StatementUnit } from "./statement-unit.ts";
import { isRecord, type Statement } from "./statements.ts";

/** One statement of a file, with the place before it and the place behind it. */
interface Step {
  readonly session: MigrationSession;
  readonly unit: StatementUnit;
  readonly statement: Statement;
  readonly place: StatementProgress;
  readonly next: StatementProgress;
  readonly limits: LockLimits;
}

/**
 * Runs a file statement by statement. A statement that can run in a transaction is in one together with the record of
 * the place, so it runs exactly once. One that cannot is marked as begun, run, and marked as done; where the process
 * dies in between, the next one looks at what the statement has left (see `judgeCompletion`), and stops where nobody
 * can tell. Throws as `runInTransaction` does, and `E_MIGRATION_HALF_DONE`.
 */
export async function runStatements(
  session: MigrationSession,
  unit: StatementUnit,
  limits: LockLimits,
): Promise<void> {
  const { context, report } = session;
  const { file, statements } = unit;
  const begun = performance.now();
  let place = await resumeAt(session, unit);
  refuseThroughPooler(session, unit);
  await restoreSettings(session, unit, place.done);
  try {
    for (const [index, statement] of statements.entries()) {
      if (index < place.done) continue;
      context.safePoint();
      await session.lock.confirm();
      report.progress({
        message: `${file.name}: statement ${index + 1} of ${statements.length}`,
        done: index,
        total: statements.length,
      });
      const next = { ...place, ...doneUntil(unit, index + 1), started: null };
      const step = { session, unit, statement, place, next, limits };
      await (runsAlone(file, statement) ? runAlone(step) : runTogether(step));
      place = next;
    }
    const durationMs = performance.now() - begun;
    await unit.verify();
    const record = `${forgetProgress(place.version)} ${unit.record(durationMs)}`;
    await commitPlace(session, unit, place, record);
  } finally {
    await forgetSettings(session);
  }
}

/** In one transaction with the record of its place. */
async function runTogether(step: Step): Promise<void> {
  const { session, unit, place, next, limits } = step;
  const { file } = unit;
  const { lockTimeout = limits.lockTimeout, statementTimeout } = file.settings;
  try {
    await retryOnLocks(session, file.name, { ...limits, lockTimeout }, async (token) => {
      const opening = begin(session, token, lockTimeout, statementTimeout, file);
      await claim(unit, place, () => session.client.query(`${opening.prefix}${claimInFile(file, place)}`));
      await sendStatement(step, token);
      const settings = session.pooled ? "reset-settings" : "keep-settings";
      await commit(session, file, token, lockTimeout, recordProgress(next), settings);
    });
  } catch (error) {
    // It did nothing: PostgreSQL refuses it before it begins.
    const alone =
      file.settings.transaction === "none" &&
      error instanceof OpsError &&
      isRecord(error.details) &&
      error.details.sqlstate === "25001";
    if (!alone) throw error;
    await runAlone(step);
  }
}

async function runAlone(step: Step): Promise<void> {
  const { session, unit, statement, place, next, limits } = step;
  const { file } = unit;
  const index = next.done - 1;
  if (place.started === index) {
    const completion = await judgeCompletion(session.client, statement);
    if (completion === "unknown") throw unclearEnd(unit, statement, index);
    if (completion === "done") {
      session.report.log(`${file.name}: statement ${index + 1} was done before the earlier run ended`);
      await keepPlace(session, unit, place, next);
      return;
    }
  }
  const { statementTimeout } = file.settings;
  const lockTimeout =
    file.settings.lockTimeout ?? (waitsHarmlessly(statement) ? undefined : limits.lockTimeout);
  const clearLeftovers = await leftoversOf(session, statement);
  const started = { ...place, started: index };
  await keepPlace(session, unit, place, started);
  const attempt = async (token: string) => {
    await clearLeftovers();
    if (await finalize(step, token)) return;
    // A SET waits for nothing, and what it sets stays.
    if (statement.kind === "VariableSetStmt") await sendStatement(step, token);
    else await withinLimits(session, { lockTimeout, statementTimeout }, () => sendStatement(step, token));
  };
  const attempts = mayCommit(statement) ? 1 : limits.attempts;
  try {
    await retryOnLocks(
      session,
      file.name,
      { attempts, lockTimeout: lockTimeout ?? limits.lockTimeout },
      attempt,
    );
  } catch (error) {
    // It failed as a whole: what is begun is over. Where the connection broke, the mark stays, and tells to look.
    if (error instanceof OpsError && error.code === "E_MIGRATION_FAILED") {
      await clearLeftovers();
      await keepPlace(session, unit, started, { ...place, started: null });
    }
    throw error;
  }
  await keepPlace(session, unit, started, next);
}

/**
 * Ends a detachment that an earlier try was interrupted in; begun anew it would be refused. It locks the partition while
 * it waits, so its time is limited, other than that of what is done concurrently.
 *
 * @returns whether there was one
 */
async function finalize(step: Step, token: string): Promise<boolean> {
  const { session, unit, statement, limits } = step;
  const detachment = concurrentDetachment(statement);
  if (detachment === undefined) return false;
  if ((await detachmentState(session.client, detachment)) !== "pending") return false;
  session.report.log(`${unit.file.name}: the detachment of ${detachment.partition.name} is to be finalized`);
  const { lockTimeout = limits.lockTimeout, statementTimeout } = unit.file.settings;
  await withinLimits(session, { lockTimeout, statementTimeout }, () =>
    sendStatement(step, token, finalizeDetachment(detachment)),
  );
  return true;
}

/** @param sql what is sent in the place of the statement */
async function sendStatement(
  { session, unit, statement }: Step,
  token: string,
  sql = statement.text,
): Promise<void> {
  const { file, statements } = unit;
  const index = statements.indexOf(statement);
  const before =
    index === 0
      ? "nothing was done before it"
      : index === 1
        ? "the one before it is kept"
        : `the ${index} before it are kept`;
  const own = mayCommit(statement) ? " (what it has committed itself stays)" : "";
  await send(session, {
    file,
    prefix: `/* ops ${token} */ `,
    prefixStatements: 0,
    sql,
    start: statement.start,
    aftermath: `Statement ${index + 1} of ${statements.length} failed; ${before}${own}, and the next try goes on there`,
  });
}
