import { isBackupId, timeOfId } from "../archive/backup-id.ts";
import type { DatabaseTarget, StoreTarget } from "../config/environment.ts";
import { parseDuration } from "../core/duration.ts";
import { UsageError } from "../core/errors.ts";
import { backupsAtWork } from "../run/backups-at-work.ts";
import type { OperationContext } from "../run/context.ts";
import type { ObjectStore } from "../storage/object-store.ts";
import { openStore } from "../storage/open-store.ts";
import { storedBytes } from "../wal-archive/base-manifest.ts";
import { readCluster } from "../wal-archive/cluster.ts";
import { archivedName, baseManifestObject, basePrefix, sumPrefix, walPrefix } from "../wal-archive/layout.ts";
import { listLive } from "../wal-archive/live-part.ts";
import { parseLsn } from "../wal-archive/lsn.ts";
import { listPoints } from "../wal-archive/restore-point.ts";
import { readArchive } from "./archive-state.ts";
import { type BaseDecision, decideExpiry } from "./expiry.ts";

/** What of one store's archive a prune would remove, and what it would leave. */
export interface ArchiveSurvey {
  readonly store: string;
  readonly bases: readonly (BaseDecision & { readonly bytes: number })[];
  /** Base backups that are not what was written. Nothing removes them but a person, by --broken, and a newer whole one. */
  readonly broken: readonly { readonly id: string; readonly removable: boolean }[];
  /** Objects, in the order in which they may go: what claims a name goes behind what has it. */
  readonly wal: readonly string[];
  readonly walFiles: number;
  readonly walBytes: number;
  /** Names of restore points that nothing leads to any more. */
  readonly points: readonly string[];
  /** Base backups that were never finished, or whose removal was not. */
  readonly leftovers: readonly {
    readonly id: string;
    readonly bytes: number;
    readonly busy: string | undefined;
  }[];
}

export interface PruneChoices {
  readonly broken: boolean;
  /** Milliseconds. */
  readonly "leftovers-after": number;
}

/** As it is written; undefined: nothing expires. */
export function windowOf({ pitr }: DatabaseTarget): string | undefined {
  return pitr?.engine === "ops" ? pitr.window : undefined;
}

/**
 * Throws `E_WAL_FOREIGN` where the archive is another environment's, `E_CLOCK`, and `E_IDENTITY` where the histories of
 * timelines cannot be read.
 */
export async function surveyArchive(
  context: OperationContext,
  database: DatabaseTarget,
  target: StoreTarget,
  choices: PruneChoices,
): Promise<ArchiveSurvey> {
  const store = openStore(target);
  await refuseOtherEnvironment(store, database.name, context.environment.name);
  const atWork = await backupsAtWork(context);
  const window = windowOf(database);
  // Leftovers first: what is finished in between is then a base backup that is kept, and no leftover.
  const leftovers = await findUnfinished(
    store,
    database.name,
    atWork,
    context.clock.now(),
    choices["leftovers-after"],
  );
  const objects = await readObjects(store, database.name);
  const archive = await readArchive(target, database.name);
  const expiry = decideExpiry(archive, {
    now: context.clock.now(),
    window: window === undefined ? undefined : parseDuration(window),
    neededBy: new Map(
      archive.bases.flatMap(({ id }) =>
        atWork.has(id) ? [[id, `run ${atWork.get(id)} works with it`]] : [],
      ),
    ),
  });
  const sizes = new Map(archive.bases.map((each) => [each.id, storedBytes(each)]));
  // Without a base backup nothing can be told to be of no use, nor beside one that does not say what it needs; without a
  // window everything stays.
  const broken = archive.broken.map((id) => ({
    id,
    removable: choices.broken && archive.bases.some((each) => isLater(each.id, id)),
  }));
  const isKnown = archive.bases.length > 0 && broken.every((each) => each.removable);
  const expires = window !== undefined && isKnown;
  const unused = !expires ? [] : objects.filter(({ file }) => !expiry.keepsFile(file));
  return {
    store: target.name,
    bases: expiry.bases.map((each) => ({ ...each, bytes: sizes.get(each.id) ?? 0 })),
    broken,
    wal: [...unused].sort((one, other) => order(one) - order(other)).map(({ name }) => name),
    walFiles: new Set(unused.map(({ file }) => file)).size,
    walBytes: unused.reduce((sum, { bytes }) => sum + bytes, 0),
    points: !expires
      ? []
      : (await listPoints(store, database.name))
          .filter((each) => !expiry.keepsPosition(each.timeline, parseLsn(each.lsn)))
          .map(({ name }) => name),
    leftovers: leftovers.filter(({ id }) => !archive.broken.includes(id)),
  };
}

async function refuseOtherEnvironment(store: ObjectStore, database: string, own: string): Promise<void> {
  const cluster = await readCluster(store, database);
  if (cluster === undefined || cluster.environment === own) return;
  throw new UsageError(
    "E_WAL_FOREIGN",
    `The archive of ${database} in ${store.location} is of the environment ${cluster.environment}`,
    { hint: `prune it there: ops pitr prune --env ${cluster.environment}` },
  );
}

function isLater(id: string, than: string): boolean {
  return (timeOfId(id)?.getTime() ?? 0) > (timeOfId(than)?.getTime() ?? 0);
}

interface ArchiveObject {
  readonly name: string;
  /** As PostgreSQL calls it. */
  readonly file: string;
  readonly bytes: number;
  readonly kind: "wal" | "live" | "sum";
}

/** A file that is there without its checksum is worth nothing; a checksum without its file claims a name for ever. */
const order = ({ kind }: ArchiveObject) => (kind === "sum" ? 1 : 0);

async function readObjects(store: ObjectStore, database: string): Promise<ArchiveObject[]> {
  const found: ArchiveObject[] = [];
  for await (const { name, bytes } of store.list(walPrefix(database))) {
    const file = archivedName(database, name)?.file;
    if (file !== undefined) found.push({ name, file, bytes, kind: "wal" });
  }
  for await (const { name, bytes } of store.list(sumPrefix(database))) {
    found.push({ name, file: name.slice(name.lastIndexOf("/") + 1), bytes, kind: "sum" });
  }
  for (const [segment, parts] of await listLive(store, database)) {
    for (const { object } of parts) found.push({ name: object, file: segment, bytes: 0, kind: "live" });
  }
  return found;
}

/** What lies under the id of a base backup that has no manifest. Its age is that of the id and of what is being written. */
async function findUnfinished(
  store: ObjectStore,
  database: string,
  atWork: ReadonlyMap<string, string>,
  now: Date,
  quietFor: number,
): Promise<ArchiveSurvey["leftovers"]> {
  const prefix = basePrefix(database);
  const idOf = (name: string) => name.slice(prefix.length).split("/")[0] ?? "";
  const alive = new Map<string, number>();
  const bytes = new Map<string, number>();
  const whole = new Set<string>();
  // In this order: a write that ends in between is then seen twice, not never.
  for await (const each of store.unfinished(prefix)) {
    const id = idOf(each.name);
    alive.set(id, Math.max(alive.get(id) ?? 0, each.startedAt.getTime()));
  }
  for await (const each of store.list(prefix)) {
    const id = idOf(each.name);
    bytes.set(id, (bytes.get(id) ?? 0) + each.bytes);
    if (each.name === baseManifestObject(database, id)) whole.add(id);
  }
  return [...new Set([...alive.keys(), ...bytes.keys()])]
    .filter((id) => isBackupId(id) && !whole.has(id))
    .sort()
    .map((id) => {
      const sign = Math.max(timeOfId(id)?.getTime() ?? 0, alive.get(id) ?? 0);
      const run = atWork.get(id);
      const busy =
        run !== undefined
          ? `run ${run} works with it`
          : quietFor > 0 && now.getTime() - sign < quietFor
            ? "it may still be being written"
            : undefined;
      return { id, bytes: bytes.get(id) ?? 0, busy };
    });
}
