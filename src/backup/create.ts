import { z } from "zod";
import { dumpObject, manifestObject, newBackupId } from "../archive/backup-id.ts";
import { corrupt, storedBytes } from "../archive/catalog.ts";
import { decodeManifest, encodeManifest, type Manifest } from "../archive/manifest.ts";
import { observeSource } from "../archive/source.ts";
import { formatDuration } from "../core/duration.ts";
import { OpsError } from "../core/errors.ts";
import { duration, name } from "../core/schema.ts";
import { formatBytes } from "../core/size.ts";
import { encrypt, newHeader } from "../crypto/age.ts";
import { connectionEnvironment } from "../postgres/connection.ts";
import { findProgram, RunningProgram } from "../postgres/programs.ts";
import { reportBytes } from "../run/byte-progress.ts";
import { interruptible } from "../run/interruptible.ts";
import { defineOperation } from "../run/operation.ts";
import { Measured, type ObjectStore, readObject } from "../storage/object-store.ts";
import { openStore } from "../storage/open-store.ts";
import { compress } from "../storage/zstd.ts";

const output = z.object({
  id: z.string().describe("The backup's id"),
  store: z.string(),
  database: z.string().describe("The database target"),
  bytes: z.number().describe("Stored: compressed and encrypted"),
  dumpBytes: z.number().describe("What pg_dump wrote"),
  sha256: z.string().describe("Of the stored dump"),
  startedAt: z.string(),
  durationMs: z.number(),
});

/**
 * Guarantee: the manifest is written last, atomically, after pg_dump ended with exit code 0 and every byte is
 * durable. Before that there is no backup, whatever was killed. The dump is never on a disk in the clear.
 */
export const create = defineOperation({
  name: "backup.create",
  summary: "Dump a database, compressed and encrypted, into a store",
  example: "backup create --database main --store local",
  effect: "change",
  input: z.strictObject({
    database: name("The database to back up").optional(),
    store: name("Where the backup goes").optional(),
    "lock-timeout": duration("How long to wait for a table that something else has locked").prefault("5m"),
  }),
  output,
  targets: (input, environment) => [
    `backup:${environment.store(input.store).name}/${environment.database(input.database).name}`,
  ],

  async observe(context, input) {
    const database = context.environment.database(input.database);
    const store = context.environment.store(input.store);
    await newHeader(store.recipients);
    const source = await observeSource(database, context.signal);
    const { version } = await findProgram("pg_dump", source.serverMajor);
    return {
      id: newBackupId(context.clock.now(), database.name),
      database: database.name,
      store: store.name,
      source,
      dumpProgram: version,
    };
  },

  plan: (before) => [
    {
      target: `store:${before.store}`,
      action: "create",
      summary: `back up database ${before.database} (PostgreSQL ${before.source.serverVersion}) to store ${before.store}`,
    },
  ],

  async apply(context, input, before, report) {
    const database = context.environment.database(input.database);
    const target = context.environment.store(input.store);
    const store = openStore(target);
    const { id } = before;
    const done = await existingManifest(store, id);
    if (done !== undefined) return result(done, target.name);

    const program = await findProgram("pg_dump", before.source.serverMajor);
    const environment = await connectionEnvironment(database);
    const args = [
      "--format=custom",
      "--compress=0",
      "--no-password",
      `--lock-wait-timeout=${input["lock-timeout"]}`,
    ];
    const startedAt = context.clock.now();
    const dumped = new Measured();
    await store.delete(dumpObject(id));
    const written = await interruptible(context, async (signal) => {
      const dump = new RunningProgram(program, args, environment, signal);
      try {
        const archive = dumped.through(checkedArchive(dump.output()));
        const plain = reportBytes(archive, report, `dumping ${database.name}`);
        return await store.put(dumpObject(id), encrypt(compress(plain), target.recipients), { signal });
      } finally {
        await dump.stop();
      }
    });
    const { serverMajor: _, ...source } = before.source;
    const manifest: Manifest = {
      format: "ops-backup",
      version: 1,
      id,
      kind: "logical",
      environment: context.environment.name,
      database: database.name,
      source,
      startedAt: startedAt.toISOString(),
      finishedAt: context.clock.now().toISOString(),
      run: context.runId ?? null,
      actor: context.actor,
      recipients: [...target.recipients],
      dumpProgram: program.version,
      dumpBytes: dumped.bytes,
      objects: [{ name: dumpObject(id), ...written }],
    };
    await store.putIfAbsent(manifestObject(id), encodeManifest(manifest));
    return result(manifest, target.name);
  },

  async undo(context, input, before) {
    const store = openStore(context.environment.store(input.store));
    if ((await existingManifest(store, before.id)) !== undefined) {
      return { undone: "kept", note: `backup ${before.id} stays: it harms nothing and may be needed` };
    }
    await store.delete(dumpObject(before.id));
    await store.delete(manifestObject(before.id));
    return { undone: true, note: "what the unfinished backup had written is removed" };
  },

  render: (backup) =>
    `Backup ${backup.id} in store ${backup.store}: ${formatBytes(backup.bytes)} ` +
    `(${formatBytes(backup.dumpBytes)} dumped) in ${formatDuration(backup.durationMs)}`,
});

/** What pg_dump's custom format begins with. */
const archiveMagic = "PGDMP";

/** Passes an archive on. Throws `E_DUMP_EMPTY` where it is none: a backup of nothing must never be listed. */
async function* checkedArchive(source: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  let head = "";
  for await (const part of source) {
    if (head.length < archiveMagic.length) {
      head += part.toString("latin1", 0, archiveMagic.length - head.length);
      if (!archiveMagic.startsWith(head)) break;
    }
    yield part;
  }
  if (head === archiveMagic) return;
  throw new OpsError("E_DUMP_EMPTY", "pg_dump ended well but did not write an archive", {
    hint: "look at the PostgreSQL programs with: ops doctor",
  });
}

async function existingManifest(store: ObjectStore, id: string): Promise<Manifest | undefined> {
  for await (const object of store.list(manifestObject(id))) {
    if (object.name !== manifestObject(id)) continue;
    const manifest = decodeManifest(await readObject(store, object.name));
    if (manifest === undefined) throw corrupt(id, object.name, "is not the manifest that was written");
    return manifest;
  }
  return undefined;
}

function result(manifest: Manifest, store: string): z.output<typeof output> {
  return {
    id: manifest.id,
    store,
    database: manifest.database,
    bytes: storedBytes(manifest),
    dumpBytes: manifest.dumpBytes,
    sha256: manifest.objects[0]?.sha256 ?? "",
    startedAt: manifest.startedAt,
    durationMs: Date.parse(manifest.finishedAt) - Date.parse(manifest.startedAt),
  };
}
