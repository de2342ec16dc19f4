import { randomBytes } from "node:crypto";
import pg from "pg";
import type { Duration } from "../core/duration.ts";
import { formatDuration } from "../core/duration.ts";
import { OpsError } from "../core/errors.ts";
import { databaseError } from "../postgres/connection.ts";
import { pause } from "../run/pause.ts";
import { type Blocker, describeBlocker, watchStatement } from "./blockers.ts";
import type { MigrationSession } from "./session.ts";
import { isConnectionLoss, isLockConflict } from "./sql-failure.ts";

export interface LockLimits {
  /** How long one statement may wait for a lock, with everybody else queueing behind it. */
  readonly lockTimeout: Duration;
  /** How often the file is tried when it does not get its locks. */
  readonly attempts: number;
}

const firstBackoff = 250;
const longestBackoff = 10_000;

/**
 * Tries until the locks are granted. Where one is not granted in time, everything is rolled back, so that nobody
 * queues behind it any longer, and tried again after a growing, random pause. Throws `E_LOCK_TIMEOUT` with the blockers.
 *
 * @param attempt gets a token to write into a comment of its SQL, by which its server process is found
 */
export async function retryOnLocks(
  session: MigrationSession,
  fileName: string,
  limits: LockLimits,
  attempt: (token: string) => Promise<void>,
): Promise<void> {
  const { context, report, target } = session;
  for (let count = 1; ; count += 1) {
    const conflict = await tryOnce(session, limits, attempt);
    if (conflict === undefined) return;
    const blockers = conflict.blockers.map(describeBlocker).join("; ") || "a session that is gone already";
    if (count >= limits.attempts) {
      const tries = count === 1 ? "once" : `${count} times`;
      throw new OpsError(
        "E_LOCK_TIMEOUT",
        `${fileName} did not get its locks in database ${target.name} within ${formatDuration(limits.lockTimeout)}, tried ${tries}; in the way: ${blockers}`,
        {
          cause: conflict.error,
          hint: "end that session (SELECT pg_terminate_backend(PID)) or run it again at a quieter time",
          details: { file: fileName, attempts: count, blockers: [...conflict.blockers] },
        },
      );
    }
    const ms = Math.min(firstBackoff * 2 ** (count - 1), longestBackoff) * (0.5 + Math.random());
    report.log(
      `${fileName}: ${conflict.error.message} (attempt ${count} of ${limits.attempts}); in the way: ${blockers}; again in ${formatDuration(ms)}`,
    );
    await pause(context, ms);
  }
}

interface LockConflict {
  readonly error: Error;
  readonly blockers: readonly Blocker[];
}

/** One try: undefined when it went through. */
async function tryOnce(
  session: MigrationSession,
  limits: LockLimits,
  attempt: (token: string) => Promise<void>,
): Promise<LockConflict | undefined> {
  const { client, context, target } = session;
  const token = randomBytes(6).toString("hex");
  const finished = new AbortController();
  const interval = Math.min(Math.max(limits.lockTimeout / 4, 25), 1000);
  const watch = watchStatement(session, token, interval, finished.signal);
  let failure: unknown;
  try {
    await attempt(token);
  } catch (error) {
    failure = error;
  }
  finished.abort();
  const blockers = await watch;
  if (failure === undefined) return undefined;
  // A second Ctrl-C cancels the statement on the server: that is not the file's fault either.
  context.signal.throwIfAborted();
  if (!(failure instanceof OpsError) && isConnectionLoss(failure)) throw databaseError(target, failure);
  // Only a warning where there is no transaction any more; where the file began another one, it ends that.
  await client.query("ROLLBACK");
  if (isLockConflict(failure) && failure instanceof pg.DatabaseError) return { error: failure, blockers };
  throw failure;
}
