import { findBackup } from "../archive/catalog.ts";
import { readContents } from "../archive/contents.ts";
import type { ArchiveEntry } from "../archive/custom-format.ts";
import { type Ownership, propertiesSql } from "../archive/database-properties.ts";
import { type BackupPart, readEntries } from "../archive/load.ts";
import { mainObject, type ReadableBackup } from "../archive/read-object.ts";
import { printedSchema, rolesNamedIn } from "../archive/roles.ts";
import { type SelectedEntries, selectEntries } from "../archive/selected-entries.ts";
import type { DatabaseTarget } from "../config/environment.ts";
import { openerFor } from "../crypto/encryption.ts";
import { trustedSignersOf } from "../crypto/trusted-signers.ts";
import type { Program } from "../postgres/programs.ts";
import type { OperationContext } from "../run/context.ts";
import { openStore } from "../storage/open-store.ts";
import { ownershipOf, type RestoreInput, wantedOf } from "./restore-input.ts";

/** Where a restore reads from, and which server it goes to. */
export interface RestoreSource {
  readonly backup: ReadableBackup;
  readonly database: DatabaseTarget;
}

/** @param id `latest`, or the backup that `latest` was when the run began */
export async function openSource(
  context: OperationContext,
  input: RestoreInput,
  id: string,
): Promise<RestoreSource> {
  const target = context.environment.store(input.store);
  const database = context.environment.database(input.database);
  const store = openStore(target);
  const owner = { environment: context.environment.name, database: database.name };
  const trusted = await trustedSignersOf(target);
  const { manifest } = await findBackup(store, trusted, id, () => owner);
  const backup = { store, manifest, opener: await openerFor(target), signed: trusted.length > 0 };
  return { backup, database };
}

/** What of the backup is restored. */
export interface Scope {
  readonly entries: readonly ArchiveEntry[];
  readonly selected: SelectedEntries | undefined;
}

/** Reads the table of contents. Throws `E_TABLE_UNKNOWN`. */
export async function scopeOf(backup: ReadableBackup, input: RestoreInput): Promise<Scope> {
  const entries = await readEntries(backup);
  const wanted = wantedOf(input);
  return { entries, selected: wanted === undefined ? undefined : selectEntries(entries, wanted) };
}

/** The tables of the backup whose rows are restored. */
export async function tablesOf(backup: ReadableBackup, { selected }: Scope) {
  const { tables } = await readContents(backup);
  if (selected === undefined) return tables;
  const wanted = new Set(selected.relations.map(({ schema, name }) => JSON.stringify([schema, name])));
  return tables.filter(({ schema, name }) => wanted.has(JSON.stringify([schema, name])));
}

/** Undefined where everything is restored. */
export async function partOf(backup: ReadableBackup, scope: Scope): Promise<BackupPart | undefined> {
  const { selected } = scope;
  if (selected === undefined) return undefined;
  const tables = await tablesOf(backup, scope);
  const main = selected.mainData ? [mainObject(backup.manifest).name] : [];
  return {
    entries: new Set(selected.entries),
    objects: new Set([...tables.map((each) => each.object), ...main]),
    rows: tables.reduce((sum, each) => sum + each.rows, 0),
  };
}

/** What pg_dump wrote into the archives that are read, in bytes. */
export async function plainBytesOf(backup: ReadableBackup, scope: Scope): Promise<number> {
  const part = await partOf(backup, scope);
  return backup.manifest.objects
    .filter((each) => each.content === "main" || each.content === "table")
    .filter((each) => part === undefined || part.objects.has(each.name))
    .reduce((sum, each) => sum + each.plainBytes, 0);
}

/** Options of pg_restore for owners and grants. */
export function ownerOptions(input: RestoreInput): readonly string[] {
  return input.owners === "skip" ? ["--no-owner", "--no-privileges"] : [];
}

/** The roles that the backup names, as it calls them. */
export async function rolesNamed(
  backup: ReadableBackup,
  scope: Scope,
  input: RestoreInput,
  program: Program,
  signal: AbortSignal,
): Promise<string[]> {
  const ownership = ownershipOf(input);
  const asDumped: Ownership = ownership.keep ? { keep: true, mapping: new Map() } : ownership;
  const { entries, selected } = scope;
  const named = new Set<string>();
  const add = async (sql: string) => {
    for (const each of await rolesNamedIn(sql)) named.add(each);
  };
  if (selected === undefined) {
    await add(await printedSchema(backup, program, ["--schema-only", ...ownerOptions(input)], signal));
    await add(await propertiesSql(entries, asDumped));
    return [...named].sort();
  }
  const chosen = new Set(selected.entries);
  for (const { dumpId, description, owner, definition } of entries) {
    if (!chosen.has(dumpId)) continue;
    if (ownership.keep && owner !== "") named.add(owner);
    const isGrant = description === "ACL" || description === "DEFAULT ACL";
    if (isGrant ? ownership.keep : ["POLICY", "USER MAPPING"].includes(description)) await add(definition);
  }
  return [...named].sort();
}
