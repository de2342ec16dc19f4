import { z } from "zod";
import { manifestObject, newBackupId } from "../archive/backup-id.ts";
import { storedBytes } from "../archive/catalog.ts";
import { copyObjects } from "../archive/copy.ts";
import { FanOut } from "../archive/fan-out.ts";
import { encodeManifest, type Manifest, signManifest } from "../archive/manifest.ts";
import { sameEncryption } from "../archive/same-encryption.ts";
import { type ObservedSource, observeSource } from "../archive/source.ts";
import type { StoreTarget } from "../config/environment.ts";
import { formatDuration } from "../core/duration.ts";
import { causeText, OpsError } from "../core/errors.ts";
import { duration, name, size } from "../core/schema.ts";
import { formatBytes } from "../core/size.ts";
import { sealerFor } from "../crypto/encryption.ts";
import { signerOf } from "../crypto/signature.ts";
import { findProgram } from "../postgres/programs.ts";
import type { OperationContext } from "../run/context.ts";
import { interruptible } from "../run/interruptible.ts";
import { defineOperation, type Report } from "../run/operation.ts";
import { openStore } from "../storage/open-store.ts";
import { type DumpSettings, dumpDatabase } from "./dump.ts";
import { hookFields, runHook } from "./hooks.ts";
import { isWhole, selectionFields, selectionOf } from "./selection.ts";
import { assertStored, lockedNote, removeBackup, storeFields, storesOf, whereIs } from "./stores.ts";

const input = z.strictObject({
  database: name("The database to back up").optional(),
  ...storeFields,
  require: z
    .enum(["all", "any"])
    .default("all")
    .describe("Whether the run fails when one of several stores fails, or only when none has the backup"),
  jobs: z.int().min(1).max(64).default(1).describe("How many dumps run at once"),
  "split-from": size("With several jobs: tables from this size on are dumped by themselves").prefault(
    "64MiB",
  ),
  globals: z.boolean().default(true).describe("Also the server's roles and tablespaces"),
  ...selectionFields,
  ...hookFields,
  "lock-timeout": duration("How long to wait for a table that something else has locked").prefault("5m"),
});

const output = z.object({
  id: z.string().describe("The backup's id"),
  stores: z.array(z.string()).describe("The stores that have it"),
  failedStores: z.array(z.object({ store: z.string(), reason: z.string() })),
  required: z.boolean().describe("Whether each store must have it"),
  database: z.string().describe("The database target"),
  objects: z.number(),
  bytes: z.number().describe("Stored, in each store: compressed and encrypted"),
  dumpBytes: z.number().describe("What pg_dump wrote"),
  tables: z.number().describe("Tables whose rows are in it"),
  rows: z.number(),
  startedAt: z.string(),
  durationMs: z.number(),
});

/**
 * Guarantee: the manifest is written last, atomically, after every pg_dump ended with exit code 0 and every byte is
 * durable. Before that there is no backup, whatever was killed. The dump is never on a disk in the clear.
 */
export const create = defineOperation({
  name: "backup.create",
  summary: "Dump a database, compressed and encrypted, into one store or several",
  example: "backup create --database main --stores local,offsite --jobs 2",
  effect: "change",
  input,
  output,
  targets: (input, environment) =>
    storesOf(environment, input).map(
      (store) => `backup:${store.name}/${environment.database(input.database).name}`,
    ),

  async observe(context, input) {
    const database = context.environment.database(input.database);
    const targets = storesOf(context.environment, input);
    await sealerFor(sameEncryption(targets));
    const source = await observeSource(database, context.signal);
    const { version } = await findProgram("pg_dump", source.serverMajor);
    return {
      id: newBackupId(context.clock.now(), database.name),
      database: database.name,
      stores: targets.map((each) => each.name),
      source,
      dumpProgram: version,
    };
  },

  plan: (before, input) => [
    ...before.stores.map((store) => ({
      target: `store:${store}`,
      action: "create" as const,
      summary:
        `back up ${isWhole(selectionOf(input)) ? "" : "a part of "}database ${before.database} ` +
        `(PostgreSQL ${before.source.serverVersion}) to store ${store}`,
    })),
  ],

  async apply(context, input, before, report) {
    const { id } = before;
    const targets = storesOf(context.environment, input);
    const stores = targets.map((each) => ({ name: each.name, store: openStore(each) }));
    const found = await whereIs(stores, id);
    const [first] = found.complete;
    const facts = { id, database: before.database };
    const unusable = new Map([...found.failures, ...found.damaged]);
    if (first !== undefined) {
      // An attempt that was killed, or failed in one of the stores: the others get a copy, not a second dump.
      const failures = new Map(unusable);
      for (const { name, store } of found.missing) {
        try {
          await interruptible(context, (signal) => copyObjects(first.store, store, first.sealed, signal));
        } catch (error) {
          if (context.signal.aborted || context.stop.aborted) throw error;
          failures.set(name, error);
        }
      }
      // The attempt that was killed may not have come to it.
      await runHook(context, "after", input.after, { ...facts, status: "complete" }, report);
      return result(first.sealed.manifest, targets, failures, input.require);
    }
    const [unknown] = unusable.values();
    // A backup in one place is better than none: a store that cannot be asked does not stop the others.
    if (unknown !== undefined && found.missing.length === 0) throw unknown;

    await runHook(context, "before", input.before, { ...facts, status: "begin" }, report);
    const out = new FanOut(found.missing);
    const manifest = await interruptible(context, async (signal) => {
      const made = await dumped(context, input, before, targets, out, report, signal);
      await out.each(async ({ name, store }) => {
        await assertStored(store, made);
        const signed = await signedManifest(made, context.environment.store(name));
        await store.putIfAbsent(manifestObject(id), signed);
      });
      return made;
    }).catch(async (error: unknown) => {
      await runHook(context, "after", input.after, { ...facts, status: "failed" }, report).catch(
        // What the backup failed with is what has to be known.
        (failure: unknown) => report.log(causeText(failure) ?? "the hook after failed"),
      );
      throw error;
    });
    await runHook(context, "after", input.after, { ...facts, status: "complete" }, report);
    return result(manifest, targets, new Map([...unusable, ...out.failures]), input.require);
  },

  async undo(context, input, before) {
    const targets = storesOf(context.environment, input);
    const found = await whereIs(
      targets.map((each) => ({ name: each.name, store: openStore(each) })),
      before.id,
    );
    const locked: string[] = [];
    for (const { store } of found.missing) locked.push(...(await removeBackup(store, before.id)));
    const [failure] = found.failures.values();
    if (failure !== undefined) throw failure;
    if (found.complete.length + found.damaged.size > 0) {
      return { undone: "kept", note: `backup ${before.id} stays: it harms nothing and may be needed` };
    }
    return { undone: true, note: `what the unfinished backup had written is removed${lockedNote(locked)}` };
  },

  failure({ id, stores, failedStores, required }) {
    const [first] = failedStores;
    if (first === undefined || !required) return undefined;
    return new OpsError(
      "E_STORE_FAILED",
      `Backup ${id} is in ${stores.join(", ")}, but not in ${failedStores.map((each) => each.store).join(", ")}: ${first.reason}`,
      {
        hint: `copy it once the store works again: ops backup copy ${id} --from ${stores[0]} --to ${first.store}`,
      },
    );
  },

  render: (backup) =>
    [
      `Backup ${backup.id} in ${backup.stores.join(", ")}: ${formatBytes(backup.bytes)} ` +
        `(${formatBytes(backup.dumpBytes)} dumped, ${backup.tables} tables, ${backup.rows} rows) ` +
        `in ${formatDuration(backup.durationMs)}`,
      ...backup.failedStores.map(({ store, reason }) => `  not in ${store}: ${reason}`),
    ].join("\n"),
});

type Input = z.output<typeof input>;
type Before = {
  readonly id: string;
  readonly database: string;
  readonly source: ObservedSource;
};

/** Dumps into the stores, and returns the manifest that is still to be written. */
async function dumped(
  context: OperationContext,
  input: Input,
  before: Before,
  targets: readonly StoreTarget[],
  out: FanOut,
  report: Report,
  signal: AbortSignal,
): Promise<Manifest> {
  const { id } = before;
  const sealer = await sealerFor(sameEncryption(targets));
  // What an attempt that was killed has left. What Object Lock keeps of it stays beside the backup, or under it.
  await out.each(async ({ store }) => {
    await removeBackup(store, id);
  });
  const startedAt = context.clock.now();
  const settings: DumpSettings = {
    id,
    database: context.environment.database(input.database),
    serverMajor: before.source.serverMajor,
    jobs: input.jobs,
    splitFrom: input["split-from"],
    lockTimeout: input["lock-timeout"],
    globals: input.globals,
    selection: selectionOf(input),
  };
  const dump = await dumpDatabase(settings, out, sealer, report, signal);
  const { serverMajor: _, ...source } = before.source;
  return {
    format: "ops-backup",
    version: 2,
    id,
    kind: "logical",
    environment: context.environment.name,
    database: before.database,
    source,
    startedAt: startedAt.toISOString(),
    finishedAt: context.clock.now().toISOString(),
    run: context.runId ?? null,
    actor: context.actor,
    encryption: sealer.describe(),
    dumpProgram: dump.program.version,
    whole: isWhole(settings.selection),
    dumpBytes: dump.plainBytes,
    tables: dump.tables,
    rows: dump.rows,
    objects: [...dump.objects],
  };
}

/** Each store may have a signer of its own. */
async function signedManifest(manifest: Manifest, target: StoreTarget): Promise<Buffer> {
  const key = await target.signingKey?.reveal();
  return encodeManifest(manifest, key === undefined ? undefined : signManifest(manifest, signerOf(key)));
}

function result(
  manifest: Manifest,
  targets: readonly StoreTarget[],
  failures: ReadonlyMap<string, unknown>,
  require: Input["require"],
): z.output<typeof output> {
  return {
    id: manifest.id,
    stores: targets.map((each) => each.name).filter((each) => !failures.has(each)),
    failedStores: [...failures].map(([store, error]) => ({ store, reason: causeText(error) ?? "it failed" })),
    required: require === "all",
    database: manifest.database,
    objects: manifest.objects.length,
    bytes: storedBytes(manifest),
    dumpBytes: manifest.dumpBytes,
    tables: manifest.tables,
    rows: manifest.rows,
    startedAt: manifest.startedAt,
    durationMs: Date.parse(manifest.finishedAt) - Date.parse(manifest.startedAt),
  };
}
