import { randomBytes } from "node:crypto";
import { open, writeFile } from "node:fs/promises";
import { join, relative } from "node:path";
import { decodeManifest, type Manifest } from "../../src/archive/manifest.ts";
import { readPlain } from "../../src/archive/read-object.ts";
import { OpsError } from "../../src/core/errors.ts";
import { openerFor } from "../../src/crypto/encryption.ts";
import { openStore } from "../../src/storage/open-store.ts";
import { perform, type TestContext, testContext } from "../support/context.ts";
import { type BackupSetting, filesIn, operation } from "./backup-setting.ts";

/** Of one file of a store. */
export interface Place {
  /** As the store names it. */
  readonly object: string;
  readonly position: number;
}

/** Tables with archives of their own, of several frames and encrypted chunks each. */
export const smallSchema = `
  CREATE TABLE letters (id int PRIMARY KEY, body text);
  INSERT INTO letters SELECT i, repeat(md5(i::text), 30) FROM generate_series(1, 2500) i;
  CREATE TABLE parcels (id int PRIMARY KEY, weight numeric, body text);
  INSERT INTO parcels SELECT i, i / 7.0, md5(i::text) FROM generate_series(1, 3000) i;
  CREATE INDEX ON letters (body);
`;

/** A small backup of several objects, the original bytes of everything in its store, and ways to damage it. */
export class Corruptible {
  readonly context: TestContext;
  readonly settings: object;
  readonly database: string;
  readonly directory: string;
  readonly id: string;
  /** By the object's name. */
  readonly originals: ReadonlyMap<string, Buffer>;

  private constructor(
    prepared: { settings: object; database: string; directory: string },
    context: TestContext,
    id: string,
    originals: ReadonlyMap<string, Buffer>,
  ) {
    this.settings = prepared.settings;
    this.database = prepared.database;
    this.directory = prepared.directory;
    this.context = context;
    this.id = id;
    this.originals = originals;
  }

  /** @param keys the store's `encryption:` and keys; default: an age recipient */
  static async make(setting: BackupSetting, sql = smallSchema, keys?: object): Promise<Corruptible> {
    const prepared = await setting.prepare(sql);
    const stores =
      keys === undefined ? prepared.settings.stores : { local: { url: prepared.store.url, ...keys } };
    const settings = { ...prepared.settings, stores };
    const context = testContext(settings);
    const { output } = await perform(operation("backup.create"), context, { jobs: 2, "split-from": "1B" });
    const files = await filesIn(prepared.directory);
    const originals = [...files].map(([path, bytes]) => [relative(prepared.directory, path), bytes] as const);
    return new Corruptible(
      { ...prepared, settings },
      context,
      (output as { id: string }).id,
      new Map(originals.sort()),
    );
  }

  get manifest(): Manifest {
    const sealed = decodeManifest(this.bytesOf(`${this.id}/manifest.json`));
    if (sealed === undefined) throw new Error("the backup has no manifest");
    return sealed.manifest;
  }

  bytesOf(object: string): Buffer {
    const bytes = this.originals.get(object);
    if (bytes === undefined) throw new Error(`the backup has no object ${object}`);
    return bytes;
  }

  path(object: string): string {
    return join(this.directory, object);
  }

  /** Over all objects and the manifest by their size, each of them with at least so many; no place twice. */
  places(count: number, atLeast: number): Place[] {
    const all = [...this.originals].reduce((sum, [, bytes]) => sum + bytes.length, 0);
    return [...this.originals].flatMap(([object, { length }]) => {
      const wanted = Math.min(length, Math.max(atLeast, Math.round((count * length) / all)));
      return Array.from({ length: wanted }, (_, index) => ({
        object,
        position: Math.floor((index * (length - 1)) / Math.max(1, wanted - 1)),
      }));
    });
  }

  /** Does the work while one bit is another one. */
  async withFlippedBit<T>({ object, position }: Place, work: () => Promise<T>): Promise<T> {
    const byte = this.bytesOf(object).readUInt8(position);
    await this.writeByte(object, position, byte ^ (1 << (position % 8)));
    try {
      return await work();
    } finally {
      await this.writeByte(object, position, byte);
    }
  }

  /** Does the work while an object has other bytes. */
  async withBytes<T>(object: string, bytes: Buffer, work: () => Promise<T>): Promise<T> {
    const original = this.bytesOf(object);
    await writeFile(this.path(object), bytes);
    try {
      return await work();
    } finally {
      await writeFile(this.path(object), original);
    }
  }

  /** What reading an object gives until it ends or fails, in the clear, and what it failed with. */
  async read(name: string): Promise<{ plain: Buffer; error: unknown }> {
    const target = this.context.environment.store();
    const opener = await openerFor(target);
    const backup = { store: openStore(target), manifest: this.manifest, opener, signed: false };
    const object = this.manifest.objects.find((each) => each.name === name);
    if (object === undefined) throw new Error(`the manifest has no object ${name}`);
    const parts: Uint8Array[] = [];
    try {
      for await (const part of readPlain(backup, object)) parts.push(part);
    } catch (error) {
      return { plain: Buffer.concat(parts), error };
    }
    return { plain: Buffer.concat(parts), error: undefined };
  }

  /** Fails with what the operation fails with. */
  async verify(level: "objects" | "decrypt"): Promise<void> {
    await perform(operation("backup.verify"), this.context, { backup: this.id, level });
  }

  private async writeByte(object: string, position: number, byte: number): Promise<void> {
    await using file = await open(this.path(object), "r+");
    await file.write(Uint8Array.of(byte), 0, 1, position);
  }
}

/** Fails unless the work fails as a damaged backup does, and says that it is this one. */
export async function reported(work: Promise<unknown>, id: string): Promise<string | undefined> {
  const error = await work.then(
    () => undefined,
    (failure: unknown) => failure,
  );
  if (error === undefined) return "was not noticed";
  if (!(error instanceof OpsError) || error.code !== "E_BACKUP_CORRUPT")
    return `failed with ${String(error)}`;
  return error.message.includes(id) ? undefined : `does not name the backup: ${error.message}`;
}

/** A key file for AES-256-GCM, as `.opsrc` names it. */
export async function aesKeys(setting: BackupSetting): Promise<object> {
  const path = join(setting.folder, `key-${randomBytes(4).toString("hex")}`);
  await writeFile(path, `${randomBytes(32).toString("hex")}\n`, { mode: 0o600 });
  return { encryption: "aes-256-gcm", "encryption-key": `file:${path}` };
}

/**
 * Each place by itself: what is stored, what a restore is given, and each tenth of them also by the deeper verification,
 * which starts a pg_restore for each object. Returns what went unnoticed, a line each; what a reader was given before it
 * noticed must be the beginning of what was dumped.
 */
export async function unnoticedFlips(backup: Corruptible, places: readonly Place[]): Promise<string[]> {
  const plain = await plainOf(backup);
  const unnoticed: string[] = [];
  for (const [index, place] of places.entries()) {
    await backup.withFlippedBit(place, async () => {
      const found = await faultsOf(backup, place.object, plain, index % 10 === 0 ? "deep" : "quick");
      unnoticed.push(...found.map((each) => `${place.object} at ${place.position}: ${each}`));
    });
  }
  return unnoticed;
}

/** The same for objects that end too early. */
export async function unnoticedCuts(backup: Corruptible, places: readonly Place[]): Promise<string[]> {
  const plain = await plainOf(backup);
  const unnoticed: string[] = [];
  for (const [index, { object, position }] of places.entries()) {
    await backup.withBytes(object, backup.bytesOf(object).subarray(0, position), async () => {
      if (position === backup.bytesOf(object).length) return;
      const found = await faultsOf(backup, object, plain, index % 10 === 0 ? "deep" : "quick");
      unnoticed.push(...found.map((each) => `${object} cut to ${position}: ${each}`));
    });
  }
  return unnoticed;
}

async function plainOf(backup: Corruptible): Promise<Map<string, Buffer>> {
  const plain = new Map<string, Buffer>();
  for (const { name } of backup.manifest.objects) plain.set(name, (await backup.read(name)).plain);
  return plain;
}

async function faultsOf(
  backup: Corruptible,
  object: string,
  plain: ReadonlyMap<string, Buffer>,
  depth: "quick" | "deep",
): Promise<string[]> {
  const found: string[] = [];
  for (const level of depth === "deep" ? (["objects", "decrypt"] as const) : (["objects"] as const)) {
    const why = await reported(backup.verify(level), backup.id);
    if (why !== undefined) found.push(`verify ${level}: ${why}`);
  }
  const original = plain.get(object);
  // The manifest: whoever reads a backup begins with it, as the verification did.
  if (original === undefined) return found;
  const given = await backup.read(object);
  const why =
    given.error === undefined ? "was not noticed" : await reported(Promise.reject(given.error), backup.id);
  if (why !== undefined) found.push(`reading: ${why}`);
  if (!original.subarray(0, given.plain.length).equals(given.plain)) found.push("altered bytes were given");
  return found;
}
