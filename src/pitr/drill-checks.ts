import type { DatabaseTarget } from "../config/environment.ts";
import { causeText, OpsError } from "../core/errors.ts";
import { connectionEnvironment, withConnection } from "../postgres/connection.ts";
import { findProgram } from "../postgres/programs.ts";
import { held } from "../postgres/sql-checks.ts";
import { runProgram } from "../process/run-program.ts";
import type { ScratchCluster } from "./scratch-cluster.ts";

export interface ClusterFindings {
  readonly serverVersion: string;
  readonly clusterBytes: number;
  /** Those that could be connected to. */
  readonly databases: string[];
  readonly checks: { readonly sql: string; readonly passed: boolean }[];
  /** What is not as it should be; empty where all is. */
  readonly reasons: string[];
}

export interface ClusterQuestions {
  /** The database that the user's questions are asked in. */
  readonly database: string;
  readonly checks: readonly string[];
  readonly amcheck: boolean;
  readonly jobs: number;
}

/** Connects to every database of a restored cluster, and asks what is to be asked. */
export async function examineCluster(
  { server }: Pick<ScratchCluster, "server">,
  questions: ClusterQuestions,
  signal: AbortSignal,
): Promise<ClusterFindings> {
  const { names, version, bytes } = await withConnection(server, { signal }, async (client) => {
    const { rows } = await client.query<{ names: string[]; version: string; bytes: string }>(
      `SELECT array_agg(datname::text ORDER BY datname) FILTER (WHERE datallowconn) AS names,
              current_setting('server_version') AS version, sum(pg_database_size(oid)) AS bytes
         FROM pg_database`,
    );
    const [row] = rows;
    if (row === undefined) throw new Error("an aggregate answers with no row");
    return row;
  });
  const databases: string[] = [];
  const reasons: string[] = [];
  for (const database of names) {
    const failure = await unreadable(server, database, signal);
    if (failure === undefined) databases.push(database);
    else reasons.push(`database ${database}: ${failure}`);
  }
  if (questions.amcheck) reasons.push(...(await amcheck(server, version, questions.jobs, signal)));
  const checks = await asked(server, questions, databases, signal);
  reasons.push(...checks.filter((each) => !each.passed).map((each) => `this does not hold: ${each.sql}`));
  return {
    serverVersion: version.split(" ")[0] ?? version,
    clusterBytes: Number(bytes),
    databases,
    checks,
    reasons,
  };
}

/** Why a database cannot be connected to, or its catalogs not be read. */
async function unreadable(
  server: DatabaseTarget,
  database: string,
  signal: AbortSignal,
): Promise<string | undefined> {
  try {
    await withConnection(server, { signal, database }, (client) =>
      client.query("SELECT count(*) FROM pg_class JOIN pg_attribute ON attrelid = pg_class.oid"),
    );
    return undefined;
  } catch (error) {
    signal.throwIfAborted();
    if (!(error instanceof Error)) throw error;
    return [error.message, causeText(error.cause)].filter(Boolean).join(": ");
  }
}

/** None of them holds where the database is not in the cluster of that moment. */
async function asked(
  server: DatabaseTarget,
  { database, checks }: ClusterQuestions,
  databases: readonly string[],
  signal: AbortSignal,
): Promise<{ sql: string; passed: boolean }[]> {
  if (checks.length === 0) return [];
  if (!databases.includes(database)) return checks.map((sql) => ({ sql, passed: false }));
  return withConnection(server, { signal, database }, (client) => held(client, checks));
}

/** PostgreSQL's own check of tables and indexes; it reads every page, and so compares every page's checksum too. */
async function amcheck(
  server: DatabaseTarget,
  version: string,
  jobs: number,
  signal: AbortSignal,
): Promise<string[]> {
  const { path } = await findProgram("pg_amcheck", Number.parseInt(version, 10));
  const args = ["--all", "--install-missing", "--heapallindexed", `--jobs=${jobs}`];
  const env = { ...(await connectionEnvironment(server)), LC_ALL: "C" };
  const { exitCode, stdout, stderr } = await runProgram(path, args, { env, cwd: "/", signal });
  if (exitCode === 0) return [];
  const lines = (stdout.trim() || stderr.trim()).split("\n").map((each) => each.trim());
  // 2: it has found something; all else: it could not look.
  if (exitCode === 2) return lines.slice(0, 3).map((each) => `pg_amcheck: ${each}`);
  throw new OpsError("E_AMCHECK", `pg_amcheck ended with exit code ${exitCode}`, {
    cause: new Error(lines.slice(-3).join("; ")),
    hint: "leave out --amcheck, or install its extension: postgresql-contrib",
    retryable: false,
  });
}
