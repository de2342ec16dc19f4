import { z } from "zod";
import { stillLocked } from "../archive/leftovers.ts";
import type { DatabaseTarget, StoreTarget } from "../config/environment.ts";
import { counted } from "../core/counted.ts";
import { inParallel } from "../core/parallel.ts";
import { duration, name } from "../core/schema.ts";
import { formatBytes } from "../core/size.ts";
import type { OperationContext } from "../run/context.ts";
import { type Change, defineOperation, type Report } from "../run/operation.ts";
import { isLocked } from "../storage/locked.ts";
import type { ObjectStore } from "../storage/object-store.ts";
import { openStore } from "../storage/open-store.ts";
import { findBaseManifest, removeBase } from "../wal-archive/base-catalog.ts";
import { removePoint } from "../wal-archive/restore-point.ts";
import { archiveStore, archiveStores } from "./archive-stores.ts";
import { expireAsPlanned, retentionOfPgBackRest, surveyExpire } from "./pgbackrest-prune.ts";
import { type ArchiveSurvey, type PruneChoices, surveyArchive, windowOf } from "./prune-survey.ts";

const input = z.strictObject({
  database: name("A database of the cluster").optional(),
  store: name("Only this store; default: all of its pitr settings").optional(),
  broken: z
    .boolean()
    .default(false)
    .describe("Also remove base backups that are damaged: look at them first (ops pitr base list)"),
  "leftovers-after": duration(
    "How long an unfinished base backup must have shown no sign of life before it is cleared",
  ).prefault("24h"),
});

const pruned = z.object({
  store: z.string(),
  removed: z
    .array(z.object({ id: z.string(), bytes: z.number(), why: z.string() }))
    .describe("Base backups, oldest first"),
  kept: z.array(z.object({ id: z.string(), reason: z.string() })).describe("Newest first"),
  walFiles: z.number().describe("Files of the log that were removed"),
  walBytes: z.number(),
  points: z.array(z.string()).describe("Restore points that nothing led to any more"),
  leftovers: z.array(z.string()).describe("Base backups that were never finished, cleared"),
  busy: z
    .array(z.object({ id: z.string(), why: z.string() }))
    .describe("Left alone: not a base backup, not yet a leftover"),
  locked: z.number().describe("Objects that the store still locks; they go with a later prune"),
});

type Pruned = z.output<typeof pruned>;

/**
 * Guarantees: those of `decideExpiry`. What is removed was planned, and is of no use now either. A base backup's manifest
 * goes before its data, and both before the log that it needs; so a kill between any two removals leaves base backups that
 * can be restored, and things that the next prune clears.
 */
export const prune = defineOperation({
  name: "pitr.prune",
  summary: "Remove base backups and WAL that the window no longer needs, together",
  example: "pitr prune --database main --dry-run",
  effect: "destroy",
  input,
  output: z.object({
    database: z.string(),
    window: z.string().nullable(),
    stores: z.array(pruned),
    freedBytes: z.number(),
  }),
  targets: (given, environment) => [`pitr:${environment.database(given.database).name}`],

  async observe(context, given) {
    const named = context.environment.database(given.database);
    if (named.pitr?.engine === "pgbackrest") {
      const survey = await surveyExpire(named, named.pitr, given.store, context.signal);
      return { database: named.name, window: retentionOfPgBackRest, stores: [survey] };
    }
    const { database, targets } = chosen(context, given);
    const stores = [];
    for (const target of targets)
      stores.push(seen(await surveyArchive(context, database, target, given), given));
    return { database: database.name, window: windowOf(database) ?? null, stores };
  },

  plan: ({ database, stores }): Change[] =>
    stores.flatMap(({ store, removed, walFiles, walBytes, points, leftovers }) => {
      const change = (summary: string) => ({ target: `store:${store}`, action: "delete" as const, summary });
      return [
        ...removed.map(({ id, bytes, why }) =>
          change(`remove base backup ${id} (${formatBytes(bytes)}): ${why}`),
        ),
        ...(walFiles === 0
          ? []
          : [
              change(
                `remove ${counted(walFiles, "file")} of the WAL of ${database} (${formatBytes(walBytes)}) that no base backup can use`,
              ),
            ]),
        ...points.map((each) => change(`forget restore point ${each}: nothing leads to it any more`)),
        ...leftovers.map((each) => change(`clear ${each}, which was never finished`)),
      ];
    }),

  notes: ({ window, stores }) => [
    ...(window === null
      ? ["no window is configured (databases.NAME.pitr.window): base backups stay for ever"]
      : []),
    ...stores.flatMap(keptLines),
  ],

  async apply(context, given, before, report) {
    const named = context.environment.database(given.database);
    const [first] = before.stores;
    if (named.pitr?.engine === "pgbackrest" && first !== undefined) {
      const done = await expireAsPlanned(named, named.pitr, given.store, first, context.signal);
      const freed = done.removed.reduce((sum, each) => sum + each.bytes, done.walBytes);
      return { database: named.name, window: before.window, stores: [done], freedBytes: freed };
    }
    const { database, targets } = chosen(context, given);
    const stores: Pruned[] = [];
    for (const target of targets) {
      const planned = before.stores.find((each) => each.store === target.name);
      if (planned !== undefined)
        stores.push(await pruneStore({ context, database, target, choices: given, report }, planned));
    }
    const freedBytes = stores.reduce(
      (sum, each) => sum + each.walBytes + each.removed.reduce((all, { bytes }) => all + bytes, 0),
      0,
    );
    return { database: database.name, window: before.window, stores, freedBytes };
  },

  unchanged: ({ database, window, stores }) => ({
    output: { database, window, stores: stores.map((each) => ({ ...each })), freedBytes: 0 },
    warnings: [],
  }),

  render: ({ database, window, stores, freedBytes }) =>
    [
      `Archive of ${database}, window ${window ?? "not configured"}: ${formatBytes(freedBytes)} freed`,
      ...stores.flatMap((each) => [
        `  store ${each.store}: ${counted(each.removed.length, "base backup")}, ${counted(each.walFiles, "WAL file")} and ${counted(each.points.length, "restore point")} removed, ` +
          `${counted(each.leftovers.length, "leftover")} cleared${each.locked === 0 ? "" : `, ${each.locked} objects locked`}`,
        ...each.removed.map(({ id, bytes, why }) => `  - ${id} (${formatBytes(bytes)}): ${why}`),
        ...keptLines(each).map((line) => `  ${line}`),
      ]),
    ].join("\n"),
});

interface Work {
  readonly context: OperationContext;
  readonly database: DatabaseTarget;
  readonly target: StoreTarget;
  readonly choices: PruneChoices;
  readonly report: Report;
}

/** How many objects are removed at once. */
const atOnce = 8;

async function pruneStore(work: Work, planned: Pruned): Promise<Pruned> {
  const { context, database, target, choices, report } = work;
  const store = openStore(target);
  const ids = new Set([...planned.removed.map(({ id }) => id), ...planned.leftovers]);
  // Looked at again: since the plan, or since a crash, a run may have begun to work with one.
  const now = seen(await surveyArchive(context, database, target, choices), choices);
  const removed: Pruned["removed"] = [];
  const locked = new Map<string, string>();
  // The newest first: one that is based on another goes before that one.
  for (const each of now.removed.filter(({ id }) => ids.has(id)).reverse()) {
    context.safePoint();
    context.signal.throwIfAborted();
    report.progress({ message: `store ${target.name}: removing base backup ${each.id}` });
    if (await isGone(() => removeBase(store, database.name, each.id))) removed.unshift(each);
    else locked.set(each.id, stillLocked);
  }
  const leftovers: string[] = [];
  for (const id of now.leftovers.filter((each) => ids.has(each))) {
    context.safePoint();
    // It has become a base backup in the last moment.
    if ((await findBaseManifest(store, database.name, id)) !== undefined) continue;
    if (await isGone(() => removeBase(store, database.name, id))) leftovers.push(id);
    else locked.set(id, stillLocked);
  }
  // With the base backups as they are now: the log of one that could not be removed stays as well.
  const rest = await surveyArchive(context, database, target, choices);
  const stays = rest.bases.some((each) => each.action === "remove");
  const wal = stays || planned.walFiles === 0 ? [] : await removeAll(work, store, rest.wal);
  const points = stays ? [] : rest.points.filter((each) => planned.points.includes(each));
  for (const each of points) await removePoint(store, database.name, each);
  const kept = [...seen(rest, choices).kept, ...[...locked].map(([id, reason]) => ({ id, reason }))];
  return {
    store: target.name,
    removed,
    kept,
    walFiles: stays || planned.walFiles === 0 ? 0 : rest.walFiles,
    walBytes: stays || planned.walFiles === 0 ? 0 : rest.walBytes,
    points,
    leftovers,
    busy: now.busy,
    locked: locked.size + wal.filter((gone) => !gone).length,
  };
}

/** In the order given: checksums only when the files that they belong to are gone. */
async function removeAll(
  { context, report }: Work,
  store: ObjectStore,
  names: readonly string[],
): Promise<boolean[]> {
  let done = 0;
  const isSum = (each: string) => each.includes("/sum/");
  const results: boolean[] = [];
  for (const group of [names.filter((each) => !isSum(each)), names.filter(isSum)]) {
    const gone = await inParallel(group, atOnce, context.signal, async (each) => {
      context.safePoint();
      const result = await isGone(() => store.delete(each));
      done += 1;
      report.progress({ message: `removing WAL from ${store.location}`, done, total: names.length });
      return result;
    });
    results.push(...gone);
    // What still has its file keeps its checksum.
    if (gone.includes(false)) break;
  }
  return results;
}

/** False where the store still locks it. */
async function isGone(remove: () => Promise<void>): Promise<boolean> {
  try {
    await remove();
    return true;
  } catch (error) {
    if (isLocked(error)) return false;
    throw error;
  }
}

function chosen(context: OperationContext, given: z.output<typeof input>) {
  const database = context.environment.database(given.database);
  const targets = given.store === undefined ? archiveStores(database) : [archiveStore(database, given.store)];
  return { database, targets };
}

const look = "look at it, or remove it with --broken";
const noNewer = "no newer one is whole";

function seen(survey: ArchiveSurvey, { broken }: PruneChoices): Pruned {
  const removed = survey.bases
    .filter((each) => each.action === "remove")
    .map(({ id, bytes, reason }) => ({ id, bytes, why: reason }));
  return {
    store: survey.store,
    removed: [
      ...removed.reverse(),
      ...survey.broken.flatMap(({ id, removable }) =>
        removable ? [{ id, bytes: 0, why: "damaged, and a newer one is whole" }] : [],
      ),
    ],
    kept: [
      ...survey.bases.filter((each) => each.action === "keep").map(({ id, reason }) => ({ id, reason })),
      ...survey.broken.flatMap(({ id, removable }) =>
        removable ? [] : [{ id, reason: `damaged, so all WAL stays: ${broken ? noNewer : look}` }],
      ),
    ],
    walFiles: survey.walFiles,
    walBytes: survey.walBytes,
    points: [...survey.points],
    leftovers: survey.leftovers.filter(({ busy }) => busy === undefined).map(({ id }) => id),
    busy: survey.leftovers.flatMap(({ id, busy }) => (busy === undefined ? [] : [{ id, why: busy }])),
    locked: 0,
  };
}

function keptLines({ kept, busy }: Pick<Pruned, "kept" | "busy">): string[] {
  return [
    ...kept.map(({ id, reason }) => `= keep ${id}: ${reason}`),
    ...busy.map(({ id, why }) => `= leave ${id}, which is no base backup: ${why}`),
  ];
}
