import { z } from "zod";
import { newBackupId } from "../archive/backup-id.ts";
import { FanOut } from "../archive/fan-out.ts";
import { sameEncryption } from "../archive/same-encryption.ts";
import type { StoreTarget } from "../config/environment.ts";
import { formatDuration } from "../core/duration.ts";
import { causeText, OpsError } from "../core/errors.ts";
import { duration, name } from "../core/schema.ts";
import { formatBytes } from "../core/size.ts";
import { openerFor, sealerFor } from "../crypto/encryption.ts";
import { interruptible } from "../run/interruptible.ts";
import { defineOperation } from "../run/operation.ts";
import { removeBase } from "../wal-archive/base-catalog.ts";
import { type BaseManifest, encodeBaseManifest, storedBytes } from "../wal-archive/base-manifest.ts";
import { baseManifestObject } from "../wal-archive/layout.ts";
import { archiveStores, whereIsBase } from "./archive-stores.ts";
import { awaitWal, type MissingWal } from "./await-wal.ts";
import { copyBase } from "./base-copy.ts";
import { makeBase } from "./base-make.ts";
import { chooseParent, requireParent } from "./base-parent.ts";
import { observeCluster } from "./base-source.ts";
import { chooseSource, serverTarget } from "./base-standby.ts";
import { walMissing } from "./missing-wal.ts";
import { createByPgBackRest, observeByPgBackRest, undoByPgBackRest } from "./pgbackrest-create.ts";

const input = z.strictObject({
  database: name("A database of the cluster; its pitr settings say where to").optional(),
  checkpoint: z
    .enum(["fast", "spread"])
    .default("fast")
    .describe("fast: begin at once; spread: when the server has written everything at its own pace"),
  incremental: z
    .boolean()
    .default(false)
    .describe("Only what changed since an earlier one (PostgreSQL 17 or later, with summarize_wal)"),
  differential: z
    .boolean()
    .default(false)
    .describe("Only what changed since the last full one (engine pgbackrest)"),
  parent: z
    .string()
    .min(1)
    .optional()
    .describe("The base backup to be incremental to; default: the newest one"),
  "full-every": duration(
    "Incremental until the last full one is this old, then a full one; also where no incremental one can be made",
  ).optional(),
  from: z
    .enum(["standby", "primary", "any"])
    .optional()
    .describe(
      "The server to read; any: the primary where the standby cannot be; default: the standby, where there is one",
    ),
  "wal-timeout": duration("How long to wait until the WAL that belongs to it is archived").prefault("5m"),
});

const output = z.object({
  id: z.string().describe("The base backup's id"),
  database: z.string().describe("The database target"),
  parent: z.string().nullable().describe("What it is incremental to; null: a full one"),
  stores: z.array(z.string()).describe("The stores that have it"),
  failedStores: z.array(z.object({ store: z.string(), reason: z.string() })),
  missingWal: z
    .array(z.object({ store: z.string(), segments: z.array(z.string()), reason: z.string() }))
    .describe("WAL that it cannot be restored without and that is not archived yet"),
  tablespaces: z.number(),
  bytes: z.number().describe("Stored, in each store: compressed and encrypted"),
  plainBytes: z.number().describe("What the server sent"),
  startLsn: z.string(),
  stopLsn: z.string().describe("The earliest position to restore to"),
  restorableFrom: z.string().describe("The earliest moment to restore to with it, by the server's clock"),
  durationMs: z.number(),
});

/**
 * Guarantee: the manifest is written last, atomically, after the server has sent everything and every byte is durable.
 * Before that there is no base backup, whatever was killed. Nothing of it is on a disk in the clear.
 */
export const createBase = defineOperation({
  name: "pitr.base.create",
  summary: "Copy a whole cluster as it runs, compressed and encrypted, into its archive",
  example: "pitr base create --database main",
  effect: "change",
  input,
  output,
  targets: (input, environment) => [`pitr:${environment.database(input.database).name}`],

  async observe(context, input) {
    const database = context.environment.database(input.database);
    if (database.pitr?.engine === "pgbackrest") {
      return observeByPgBackRest(context, database, database.pitr, input);
    }
    const targets = archiveStores(database);
    await sealerFor(sameEncryption(targets));
    const primary = await observeCluster(database, context.signal);
    const { server, remark, cluster } = await chooseSource(database, primary, input.from, context.signal);
    const now = context.clock.now();
    const wish = { ...input, fullEvery: input["full-every"] };
    const place = { database, server: serverTarget(database, server), targets, cluster };
    const basis = await chooseParent(place, wish, now, context.signal);
    // The parent's manifest has to be read, and its object is encrypted as all are.
    if (basis.parent !== null) for (const each of targets.slice(0, 1)) await openerFor(each);
    return {
      id: newBackupId(now, database.name),
      database: database.name,
      stores: targets.map((each) => each.name),
      cluster: { ...cluster },
      server,
      remark,
      ...basis,
    };
  },

  plan: ({ database, stores, cluster, parent }) =>
    stores.map((store) => ({
      target: `store:${store}`,
      action: "create" as const,
      summary:
        `copy ${parent === null ? "the cluster" : `what changed since base backup ${parent} in the cluster`} ` +
        `of ${database} (PostgreSQL ${cluster.serverVersion}) to store ${store}`,
    })),

  notes: ({ database, cluster, why, remark }) => [
    ...(cluster.archiveMode === "off"
      ? [`archive_mode is off: unless ops wal receive runs, see: ops pitr setup --database ${database}`]
      : []),
    ...(why === null ? [] : [`it is a full one: ${why}`]),
    ...(remark === null ? [] : [remark]),
  ],

  async apply(context, input, before, report) {
    const { id } = before;
    const database = context.environment.database(input.database);
    if (database.pitr?.engine === "pgbackrest") {
      return createByPgBackRest(context, database, database.pitr, input, before, report);
    }
    const targets = archiveStores(database);
    const found = await whereIsBase(targets, database.name, id);
    const failures = new Map<string, unknown>();
    const [first] = found.complete;
    let manifest = first?.sealed.manifest;
    if (first === undefined) {
      const out = new FanOut(found.missing);
      manifest = await interruptible(context, async (signal) => {
        const work = { ...before, database, targets, checkpoint: input.checkpoint };
        const made = await makeBase(context, work, out, report, signal);
        await out.each(async ({ name, store }) => {
          const key = await signingKey(targets, name);
          await requireParent(store, made);
          await store.putIfAbsent(baseManifestObject(database.name, id), encodeBaseManifest(made, key));
        });
        return made;
      });
      for (const [store, error] of out.failures) failures.set(store, error);
    } else {
      // An attempt that was killed, or failed in one of the stores: the others get a copy.
      for (const { name, store } of found.missing) {
        const key = await signingKey(targets, name);
        await requireParent(store, first.sealed.manifest);
        await interruptible(context, (signal) => copyBase(first.store, store, first.sealed, key, signal));
      }
    }
    if (manifest === undefined) throw new Error("a base backup without a manifest");
    const complete = targets.filter((each) => !failures.has(each.name));
    const missingWal = await awaitWal(context, manifest, complete, input["wal-timeout"], report);
    return result(manifest, complete, failures, missingWal);
  },

  async undo(context, input, before) {
    const database = context.environment.database(input.database);
    if (database.pitr?.engine === "pgbackrest") {
      return undoByPgBackRest(context, database.pitr, before.id);
    }
    const { complete, missing } = await whereIsBase(archiveStores(database), database.name, before.id);
    for (const { store } of missing) await removeBase(store, database.name, before.id);
    if (complete.length > 0) {
      return { undone: "kept", note: `base backup ${before.id} stays: it harms nothing and may be needed` };
    }
    return { undone: true, note: "what the unfinished base backup had written is removed" };
  },

  failure({ id, stores, failedStores, missingWal }) {
    const [failed] = failedStores;
    if (failed !== undefined) {
      return new OpsError(
        "E_STORE_FAILED",
        `Base backup ${id} is in ${stores.join(", ")}, but not in ${failed.store}: ${failed.reason}`,
        { hint: "once the store works again: ops runs resume" },
      );
    }
    const [missing] = missingWal;
    return missing && walMissing(id, missing.store, missing.segments, missing.reason);
  },

  render: (base) =>
    [
      `${base.parent === null ? "Base" : "Incremental base"} backup ${base.id} in ${base.stores.join(", ")}: ${formatBytes(base.bytes)} ` +
        `(${formatBytes(base.plainBytes)} copied, ${base.tablespaces} tablespaces) in ${formatDuration(base.durationMs)}`,
      ...(base.parent === null ? [] : [`It needs ${base.parent}, which it is based on`]),
      `Restorable from ${base.restorableFrom} (${base.stopLsn}) on`,
    ].join("\n"),
});

async function signingKey(targets: readonly StoreTarget[], store: string): Promise<string | undefined> {
  return targets.find((each) => each.name === store)?.signingKey?.reveal();
}

function result(
  manifest: BaseManifest,
  targets: readonly StoreTarget[],
  failures: ReadonlyMap<string, unknown>,
  missingWal: MissingWal[],
): z.output<typeof output> {
  return {
    id: manifest.id,
    database: manifest.database,
    parent: manifest.parent ?? null,
    stores: targets.map((each) => each.name),
    failedStores: [...failures].map(([store, error]) => ({ store, reason: causeText(error) ?? "it failed" })),
    missingWal,
    tablespaces: manifest.objects.filter((each) => each.content === "tablespace").length,
    bytes: storedBytes(manifest),
    plainBytes: manifest.plainBytes,
    startLsn: manifest.startLsn,
    stopLsn: manifest.stopLsn,
    restorableFrom: manifest.stoppedAt,
    durationMs: Date.parse(manifest.finishedAt) - Date.parse(manifest.startedAt),
  };
}
