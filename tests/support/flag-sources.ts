import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import pg from "pg";
import { Secret } from "../../src/config/secret.ts";
import type { ChangeNote, FlagSource } from "../../src/flag-source/flag-source.ts";
import { openFlagSource } from "../../src/flag-source/open-source.ts";
import type { Cluster } from "../../src/postgres/cluster.ts";

export const note: ChangeNote = {
  actor: "ann@laptop",
  run: "20260101-000000-test",
  operation: "flag.set",
  reason: "a test",
};

/** A place for flags, new and empty, as `.opsrc` names it; each `open` is another process as far as it knows. */
export interface FlagPlace {
  /** What stands under `flag-sources: main:`. */
  readonly settings: object;
  /** What stands under `databases: main:`, where it is one. */
  readonly url: string | undefined;
  readonly file: string | undefined;
  readonly directory: string;
  /** @param file the same one by another name */
  open(file?: string): FlagSource;
  remove(): Promise<void>;
}

export async function filePlace(name: "flags.json" | "flags.yaml"): Promise<FlagPlace> {
  const directory = await mkdtemp(join(tmpdir(), "ops-flags-"));
  const file = join(directory, name);
  const target = { name: "main", driver: "file" as const, history: `${file}.history.jsonl` };
  return {
    settings: { file: name },
    url: undefined,
    file,
    directory,
    open: (named = file) => openFlagSource({ ...target, file: named }, options(directory)),
    remove: () => rm(directory, { recursive: true, force: true }),
  };
}

const made = new Set<string>();

/** One database of a server for all, emptied each time: to make one takes longer than most tests. */
export async function databasePlace(cluster: Cluster): Promise<FlagPlace> {
  const name = "flags";
  const server = cluster.url();
  if (made.has(server)) await sql(cluster.url(name), "DROP SCHEMA IF EXISTS ops CASCADE");
  else await sql(server, `CREATE DATABASE ${name}`);
  made.add(server);
  const directory = await mkdtemp(join(tmpdir(), "ops-flags-"));
  const url = cluster.url(name);
  const database = {
    name: "main",
    url: new Secret(url, directory),
    password: undefined,
    migrations: directory,
  };
  return {
    settings: { database: "main" },
    url,
    file: undefined,
    directory,
    open: () => openFlagSource({ name: "main", driver: "postgres", database }, options(directory)),
    remove: () => rm(directory, { recursive: true, force: true }),
  };
}

function options(directory: string) {
  return {
    stateDirectory: join(directory, ".ops"),
    now: () => new Date(),
    signal: new AbortController().signal,
  };
}

export async function sql(at: string, text: string): Promise<pg.QueryResultRow[]> {
  const client = new pg.Client({ connectionString: at });
  await client.connect();
  try {
    return (await client.query(text)).rows;
  } finally {
    await client.end();
  }
}
