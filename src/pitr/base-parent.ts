import type { DatabaseTarget, StoreTarget } from "../config/environment.ts";
import { formatDuration } from "../core/duration.ts";
import { UsageError } from "../core/errors.ts";
import { trustedSignersOf } from "../crypto/trusted-signers.ts";
import { oldestIncremental } from "../postgres/base-backup.ts";
import { withConnection } from "../postgres/connection.ts";
import type { ObjectStore } from "../storage/object-store.ts";
import { openStore } from "../storage/open-store.ts";
import { corruptBase, findBaseManifest, readBaseCatalog, wholeBases } from "../wal-archive/base-catalog.ts";
import { chainOf } from "../wal-archive/base-chain.ts";
import type { BaseManifest } from "../wal-archive/base-manifest.ts";
import { baseManifestObject } from "../wal-archive/layout.ts";
import type { ClusterFacts } from "./base-source.ts";

export interface ParentWish {
  /** An incremental one, or a refusal. */
  readonly incremental: boolean;
  /** Refused: there are none without pgBackRest. */
  readonly differential: boolean;
  /** A base backup's id; undefined: the newest one that fits. */
  readonly parent?: string | undefined;
  /** Milliseconds: incremental for as long as the last full one is younger; undefined: no matter how old. */
  readonly fullEvery?: number | undefined;
}

/** Where a new base backup is read from, and where it goes. */
export interface BasePlace {
  readonly database: DatabaseTarget;
  /** The server of its cluster that is read. */
  readonly server: DatabaseTarget;
  readonly targets: readonly StoreTarget[];
  readonly cluster: ClusterFacts;
}

/** What a new base backup is made of. */
export interface Basis {
  /** The base backup that it is incremental to; null: it is a full one. */
  readonly parent: string | null;
  /** Why it is a full one although incremental ones are asked for; null: nothing to say. */
  readonly why: string | null;
}

/**
 * Which base backup the next one is incremental to: the newest one that is whole in every store, of the same cluster and
 * timeline, since which the server has noted what changed. Throws `E_INCREMENTAL` where an incremental one is asked for
 * and there can be none; with `fullEvery` that is a full one, and why.
 */
export async function chooseParent(
  { database, server, targets, cluster }: BasePlace,
  wish: ParentWish,
  now: Date,
  signal: AbortSignal,
): Promise<Basis> {
  if (wish.differential) {
    throw new UsageError("E_INPUT", `The engine of ${database.name} makes no differential base backups`, {
      hint: "incremental ones, from PostgreSQL 17 on: --incremental; differential ones: engine: pgbackrest",
    });
  }
  const isStrict = wish.incremental || wish.parent !== undefined;
  if (!isStrict && wish.fullEvery === undefined) return { parent: null, why: null };
  const unable = whyUnable(database.name, cluster);
  if (unable !== undefined) return refused(isStrict, unable);
  const bases = await basesOfAll(targets, database.name);
  const fitting = bases.filter((each) => whyUnfit(each, cluster) === undefined);
  const parent = wish.parent === undefined ? fitting[0] : fitting.find((each) => each.id === wish.parent);
  const [full] = parent === undefined ? [] : (chainOf(bases, parent.id) ?? []);
  if (parent === undefined || full === undefined) return refused(isStrict, noParent(wish, bases, cluster));
  const age = now.getTime() - Date.parse(full.startedAt);
  if (wish.fullEvery !== undefined && wish.parent === undefined && age >= wish.fullEvery) {
    return { parent: null, why: `the last full one, ${full.id}, is ${formatDuration(age)} old` };
  }
  if (!(await isSummarized(server, parent, signal))) {
    return refused(isStrict, {
      message: `The server has not noted what changed since base backup ${parent.id}`,
      hint: "make a full one (summarize_wal was off, or the summaries are older than wal_summary_keep_time)",
    });
  }
  return { parent: parent.id, why: null };
}

/** Throws `E_BACKUP_CORRUPT` where the store does not have what the base backup is incremental to. */
export async function requireParent(store: ObjectStore, manifest: BaseManifest): Promise<void> {
  const { parent, database, id } = manifest;
  if (parent === undefined) return;
  if ((await findBaseManifest(store, database, parent)) !== undefined) return;
  throw corruptBase(id, baseManifestObject(database, parent), "is missing, and it is based on that");
}

interface Unable {
  readonly message: string;
  readonly hint: string;
}

function refused(isStrict: boolean, { message, hint }: Unable): Basis {
  if (isStrict) throw new UsageError("E_INCREMENTAL", message, { hint });
  return { parent: null, why: message };
}

function whyUnable(database: string, { serverMajor, serverVersion, summarizeWal }: ClusterFacts) {
  if (serverMajor < oldestIncremental) {
    return {
      message: `PostgreSQL ${serverVersion} of ${database} makes no incremental base backups`,
      hint: `make full ones; from PostgreSQL ${oldestIncremental} on there are incremental ones`,
    };
  }
  if (summarizeWal === "on") return undefined;
  return {
    message: `The server of ${database} does not note what changes: summarize_wal is off`,
    hint: `run: ops pitr setup --database ${database}; then a full one, and incremental ones after it`,
  };
}

/** Undefined where an incremental one can be based on it. */
function whyUnfit(base: BaseManifest, cluster: ClusterFacts): string | undefined {
  if (base.systemIdentifier !== cluster.systemIdentifier) return "is of another cluster";
  if (base.timeline !== cluster.timeline) {
    return `is of timeline ${base.timeline}, and the server is on timeline ${cluster.timeline}`;
  }
  return undefined;
}

function noParent({ parent }: ParentWish, bases: readonly BaseManifest[], cluster: ClusterFacts): Unable {
  const hint = "make a full one: ops pitr base create";
  if (parent === undefined) {
    return { message: "There is no base backup that an incremental one can be based on", hint };
  }
  const named = bases.find((each) => each.id === parent);
  return {
    message: `Base backup ${parent} ${(named && whyUnfit(named, cluster)) ?? "is not whole in every store"}`,
    hint: "leave out --parent, or see: ops pitr base list",
  };
}

/** Whole in each of the stores with all that they are based on, newest first. */
async function basesOfAll(
  targets: readonly StoreTarget[],
  database: string,
): Promise<readonly BaseManifest[]> {
  const catalogs = await Promise.all(
    targets.map(async (target) =>
      wholeBases(await readBaseCatalog(openStore(target), database, await trustedSignersOf(target))),
    ),
  );
  const [first = [], ...others] = catalogs;
  return first.filter(({ id }) => others.every((catalog) => catalog.some((each) => each.id === id)));
}

/** What the server has removed or never written is told by its first summary; what is still missing it waits for. */
async function isSummarized(
  database: DatabaseTarget,
  { timeline, startLsn }: BaseManifest,
  signal: AbortSignal,
): Promise<boolean> {
  return withConnection(database, { signal }, async (client) => {
    const { rows } = await client.query<{ yes: boolean }>(
      `SELECT coalesce((SELECT min(start_lsn) FROM pg_available_wal_summaries() WHERE tli = $1),
                       (SELECT summarized_lsn FROM pg_get_wal_summarizer_state())) <= $2::pg_lsn AS yes`,
      [timeline, startLsn],
    );
    return rows[0]?.yes === true;
  });
}
