import pg from "pg";
import { findBackup } from "../archive/catalog.ts";
import { loadBackup } from "../archive/load.ts";
import type { DatabaseSource } from "../archive/manifest.ts";
import { createDatabase } from "../archive/new-database.ts";
import { verifyBeforeLoading } from "../archive/read-object.ts";
import { copyOptions } from "../archive/restore-options.ts";
import { makeRoles, rolesOfBackup } from "../archive/roles.ts";
import { observeSource } from "../archive/source.ts";
import type { DatabaseTarget } from "../config/environment.ts";
import { openerFor } from "../crypto/encryption.ts";
import { trustedSignersOf } from "../crypto/trusted-signers.ts";
import { connectionEnvironment, withConnection } from "../postgres/connection.ts";
import { findProgram, RunningProgram } from "../postgres/programs.ts";
import { reportBytes } from "../run/byte-progress.ts";
import type { OperationContext } from "../run/context.ts";
import type { Report } from "../run/operation.ts";
import { openStore } from "../storage/open-store.ts";
import type { Pass } from "./report.ts";
import { readTableSizes, type TableSize } from "./test/relations.ts";

/** Where a copy of the real database comes from. */
export type CopySource =
  | { readonly kind: "backup"; readonly backup: string; readonly store: string | undefined }
  | { readonly kind: "url"; readonly target: DatabaseTarget };

export interface LoadedCopy {
  readonly source: NonNullable<Pass["source"]>;
  /** Sizes of the real tables; empty where only a backup is known. */
  readonly realSizes: ReadonlyMap<string, TableSize>;
  readonly notes: readonly string[];
}

/** Finds out before anything is started whether the copy can be made. Throws what making it would throw. */
export async function confirmSource(
  context: OperationContext,
  wanted: CopySource,
  database: DatabaseTarget,
  signal: AbortSignal,
): Promise<void> {
  if (wanted.kind === "url") {
    await observeSource(wanted.target, signal);
    return;
  }
  const target = context.environment.store(wanted.store);
  const owner = { environment: context.environment.name, database: database.name };
  await findBackup(openStore(target), await trustedSignersOf(target), wanted.backup, () => owner);
  await openerFor(target);
}

/** What loading works with: the throw-away server, as a target for each of its databases. */
export interface CopyPlace {
  readonly server: DatabaseTarget;
  readonly database: string;
  readonly signal: AbortSignal;
}

/** Makes the database and fills it. The dump flows from one program to the other and is on no disk in between. */
export async function loadCopy(
  context: OperationContext,
  wanted: CopySource,
  owner: DatabaseTarget,
  place: CopyPlace,
  report: Report,
): Promise<LoadedCopy> {
  const loaded =
    wanted.kind === "url"
      ? await fromUrl(context, wanted.target, place, report)
      : await fromBackup(context, wanted, owner, place, report);
  // Statements are planned as on the real one; autovacuum is off here.
  await inCopy(place, (client) => client.query("ANALYZE"));
  return loaded;
}

async function fromUrl(
  context: OperationContext,
  target: DatabaseTarget,
  place: CopyPlace,
  report: Report,
): Promise<LoadedCopy> {
  const { signal } = place;
  const dataFrom = context.clock.now().toISOString();
  const { serverMajor, ...source } = await observeSource(target, signal);
  const { roles, realSizes } = await withConnection(target, { signal }, async (client) => {
    const { rows } = await client.query<{ name: string }>("SELECT rolname AS name FROM pg_roles");
    return { roles: rows.map((each) => each.name), realSizes: await readTableSizes(client) };
  });
  const notes = await prepare(place, source, roles);
  const program = await findProgram("pg_dump", serverMajor);
  const args = ["--format=custom", "--compress=0", "--no-password", "--lock-wait-timeout=60000"];
  const dump = new RunningProgram(program, args, await connectionEnvironment(target), signal);
  try {
    await restore(place, program.major, reportBytes(dump.output(), report, "copying the database"));
  } finally {
    await dump.stop();
  }
  const { serverVersion } = source;
  return { source: { kind: "url", id: target.url.shown, dataFrom, serverVersion }, realSizes, notes };
}

async function fromBackup(
  context: OperationContext,
  wanted: Extract<CopySource, { kind: "backup" }>,
  database: DatabaseTarget,
  place: CopyPlace,
  report: Report,
): Promise<LoadedCopy> {
  const target = context.environment.store(wanted.store);
  const store = openStore(target);
  const owner = { environment: context.environment.name, database: database.name };
  const trusted = await trustedSignersOf(target);
  const { manifest } = await findBackup(store, trusted, wanted.backup, () => owner);
  const backup = { store, manifest, opener: await openerFor(target), signed: trusted.length > 0 };
  await verifyBeforeLoading(backup, undefined, place.signal);
  const notes = await prepare(place, manifest.source, await rolesOfBackup(backup, place.signal));
  const message = `restoring ${manifest.id}`;
  let total: number | undefined;
  let done = 0;
  await loadBackup(backup, {
    database: place.database,
    environment: await connectionEnvironment(place.server),
    jobs: 1,
    options: copyOptions,
    signal: place.signal,
    progress: {
      phase: (name, amount) => {
        total = name === "rows" ? amount : undefined;
        done = 0;
      },
      add: (amount) => {
        done += amount;
        if (total !== undefined) report.progress({ message, done, total, unit: "bytes" });
      },
    },
  });
  return {
    source: {
      kind: "backup",
      id: manifest.id,
      dataFrom: manifest.startedAt,
      serverVersion: manifest.source.serverVersion,
    },
    realSizes: new Map(),
    notes,
  };
}

/** Makes the database and the roles that own something in it. Returns what differs from the real one. */
async function prepare(
  { server, database, signal }: CopyPlace,
  source: DatabaseSource,
  roles: readonly string[],
): Promise<string[]> {
  return withConnection(server, { signal }, async (client) => {
    await makeRoles(client, roles);
    try {
      await createDatabase(client, database, source);
      return [];
    } catch (error) {
      if (!(error instanceof pg.DatabaseError)) throw error;
      await client.query(`CREATE DATABASE ${pg.escapeIdentifier(database)} TEMPLATE template0`);
      return [`the copy sorts text in another way than the real one: ${error.message}`];
    }
  });
}

async function restore(
  { server, database, signal }: CopyPlace,
  atLeast: number,
  dump: AsyncIterable<Uint8Array>,
): Promise<void> {
  const program = await findProgram("pg_restore", atLeast);
  const environment = await connectionEnvironment(server);
  const loading = new RunningProgram(
    program,
    ["--exit-on-error", "--no-password", ...copyOptions, `--dbname=${database}`],
    environment,
    signal,
  );
  try {
    await Promise.all([textOf(loading.output()), loading.feed(dump, signal)]);
  } finally {
    await loading.stop();
  }
}

async function textOf(output: AsyncIterable<Buffer>): Promise<string> {
  const parts: Buffer[] = [];
  for await (const part of output) parts.push(part);
  return Buffer.concat(parts).toString("utf8");
}

export function inCopy<T>(
  { server, database, signal }: CopyPlace,
  work: (client: pg.Client) => Promise<T>,
): Promise<T> {
  return withConnection(server, { signal, database }, work);
}
