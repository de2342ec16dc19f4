import type pg from "pg";
import { databaseProperties } from "../archive/database-properties.ts";
import { explainedLoadError, loadBackup } from "../archive/load.ts";
import { createDatabase } from "../archive/new-database.ts";
import { verifyBeforeLoading } from "../archive/read-object.ts";
import { restoreProgram } from "../archive/restore-version.ts";
import { OpsError } from "../core/errors.ts";
import { connectionEnvironment, withConnection } from "../postgres/connection.ts";
import { held, shortened } from "../postgres/sql-checks.ts";
import { ByteProgress } from "../run/byte-progress.ts";
import type { Report } from "../run/operation.ts";
import { ReportedLoad } from "./load-progress.ts";
import { differences } from "./read-through.ts";
import { checkOf, ownershipOf, type RestoreInput } from "./restore-input.ts";
import { makeMarkedRoles } from "./restore-roles.ts";
import {
  ownerOptions,
  partOf,
  plainBytesOf,
  type RestoreSource,
  type Scope,
  scopeOf,
  tablesOf,
} from "./restore-source.ts";
import {
  dropDatabase,
  finishDatabase,
  onServer,
  restoredComment,
  setComment,
  setForLoading,
  tryStatements,
} from "./restored-database.ts";
import { dumpedAgain } from "./restored-rows.ts";

export interface ScratchOptions {
  /** The database to fill; what has that name is ours, and begun anew. */
  readonly scratch: string;
  /** Roles to make first. */
  readonly roles: readonly string[];
  readonly serverVersion: string;
  /** Says which backup, run and attempt: it ends up in comments. */
  readonly mark: string;
}

/** Restores beside everything that is there; at the end the database is whole, checked and marked as such. */
export async function fillScratch(
  { backup, database }: RestoreSource,
  input: RestoreInput,
  options: ScratchOptions,
  report: Report,
  signal: AbortSignal,
): Promise<void> {
  const { scratch, mark } = options;
  const { manifest } = backup;
  const scope = await scopeOf(backup, input);
  const part = await partOf(backup, scope);
  report.progress({ message: `comparing ${manifest.id} with its manifest` });
  await verifyBeforeLoading(backup, part?.objects, signal);
  const ownership = ownershipOf(input);
  const properties =
    scope.selected === undefined
      ? await databaseProperties(scope.entries, scratch, ownership)
      : { statements: [], comment: null };
  const making = async (client: pg.Client) => {
    await dropDatabase(client, scratch);
    await makeMarkedRoles(client, options.roles, mark);
    await createDatabase(client, scratch, manifest.source);
    await setComment(client, scratch, `ops: restoring ${mark}`);
    // What this user may not set is known now, not after hours of loading.
    await tryStatements(client, properties.statements);
    await setForLoading(client, scratch, input["work-memory"]);
  };
  await onServer(database, signal, making, { sessionName: scratch });
  await loadBackup(backup, {
    database: scratch,
    environment: await connectionEnvironment(database),
    program: await restoreProgram(manifest, options.serverVersion),
    jobs: input.jobs,
    options: ownerOptions(input),
    ...(ownership.keep ? { roles: ownership.mapping } : {}),
    ...(part === undefined ? {} : { part }),
    signal,
    progress: new ReportedLoad(report, `restoring ${manifest.id} into ${input.into}`),
  }).catch((error: unknown) => {
    throw explainedLoadError(error);
  });
  await checkScratch({ backup, database }, scope, input, scratch, report, signal);
  const comment = restoredComment(properties.comment, mark);
  await onServer(
    database,
    signal,
    (client) => finishDatabase(client, scratch, properties.statements, comment),
    { sessionName: scratch },
  );
}

/** Throws `E_RESTORE_CHECK` where the restored database is not what was dumped, or not what the user expects. */
async function checkScratch(
  { backup, database }: RestoreSource,
  scope: Scope,
  input: RestoreInput,
  scratch: string,
  report: Report,
  signal: AbortSignal,
): Promise<void> {
  const reasons: string[] = [];
  if (checkOf(input) === "rows") {
    const message = `comparing the rows of ${input.into} with the backup`;
    report.progress({ message });
    const shown = new ByteProgress(report, message, await plainBytesOf(backup, scope));
    const found = await dumpedAgain(database, scratch, signal, (bytes) => shown.add(bytes));
    reasons.push(...differences(await tablesOf(backup, scope), found));
  }
  if (input.checks.length > 0) {
    const found = await withConnection(database, { signal, database: scratch }, (client) =>
      held(client, input.checks),
    );
    reasons.push(...found.filter((each) => !each.passed).map((each) => `this does not hold: ${each.sql}`));
  }
  if (reasons.length === 0) return;
  throw new OpsError(
    "E_RESTORE_CHECK",
    `Backup ${backup.manifest.id} was restored, but did not pass: ${shortened(reasons)}`,
    { hint: "no database has changed; look at the backup with: ops backup verify", retryable: false },
  );
}
