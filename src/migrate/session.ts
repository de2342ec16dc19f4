import type pg from "pg";
import type { DatabaseTarget } from "../config/environment.ts";
import { withConnection } from "../postgres/connection.ts";
import type { OperationContext } from "../run/context.ts";
import type { Report } from "../run/operation.ts";
import { type Assessment, assess } from "./assessment.ts";
import { readHistory } from "./history-table.ts";
import { type MigrationFolder, readMigrationFolder } from "./migration-file.ts";
import { lockRunner } from "./runner-lock.ts";

/** A connection that alone may run migrations in its database. */
export interface MigrationSession {
  readonly client: pg.ClientBase;
  readonly context: OperationContext;
  readonly target: DatabaseTarget;
  readonly report: Report;
}

/** The files and the history, side by side. */
export interface Survey {
  readonly folder: MigrationFolder;
  readonly assessment: Assessment;
}

/** Looks, changes nothing; a database that never saw a migration is fine. */
export async function survey(context: OperationContext, target: DatabaseTarget): Promise<Survey> {
  const folder = await readMigrationFolder(target.migrations);
  const history = await withConnection(
    target,
    { signal: context.signal, applicationName: applicationName(context) },
    readHistory,
  );
  return { folder, assessment: assess(folder.migrations, history) };
}

/** The same, from inside a session, where nobody else changes the history. */
export async function surveyInside(session: MigrationSession): Promise<Survey> {
  const folder = await readMigrationFolder(session.target.migrations);
  return { folder, assessment: assess(folder.migrations, await readHistory(session.client)) };
}

/** Connects, waits for its turn (`lockWait` in milliseconds) and works. */
export async function withMigrationSession<T>(
  context: OperationContext,
  target: DatabaseTarget,
  lockWait: number,
  report: Report,
  work: (session: MigrationSession) => Promise<T>,
): Promise<T> {
  return withConnection(
    target,
    { signal: context.signal, applicationName: applicationName(context) },
    async (client) => {
      await lockRunner(context, client, target.name, lockWait, report);
      return work({ client, context, target, report });
    },
  );
}

/** PostgreSQL keeps 63 bytes of it. */
function applicationName(context: OperationContext): string {
  return `ops migrate ${context.runId ?? context.actor}`.slice(0, 63);
}
