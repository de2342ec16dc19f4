import { randomBytes } from "node:crypto";
import { createReadStream } from "node:fs";
import { type FileHandle, link, mkdir, open, readdir, rename, rm, rmdir, stat } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { OpsError, UsageError } from "../core/errors.ts";
import { checkObjectName, isObjectName, partialSuffix } from "./object-name.ts";
import {
  Measured,
  type ObjectStore,
  type ReadOptions,
  type StoredObject,
  type UnfinishedWrite,
  type WriteOptions,
  type Written,
} from "./object-store.ts";

/** What becomes NAME is written as `NAME~1f2e3d4c.partial`, since several writers may race; formerly `NAME.partial`. */
const partialName = /^(.*?)(~[0-9a-f]{8})?\.partial$/;

/**
 * Objects as files of a directory. An object appears under its name only after its bytes are on the disk
 * (temp name, fsync, rename, fsync of the directory), so a crash or a power cut leaves the whole object or a
 * `.partial` file, which is never listed. Files are 0600 and folders 0700: only their owner reads them.
 */
export class FileStore implements ObjectStore {
  readonly location: string;
  private readonly directory: string;

  constructor(directory: string) {
    this.directory = directory;
    this.location = `file:${directory}`;
  }

  async put(name: string, body: AsyncIterable<Uint8Array>, options: WriteOptions = {}): Promise<Written> {
    this.refuseRetention(options);
    const path = this.path(name);
    const partial = partialOf(path);
    const measured = new Measured();
    const file = await this.attempt(name, async () => {
      await this.makeFolder(dirname(path));
      return open(partial, "wx", 0o600);
    });
    try {
      try {
        for await (const chunk of measured.through(body)) {
          options.signal?.throwIfAborted();
          await this.attempt(name, () => writeAll(file, chunk));
        }
        options.signal?.throwIfAborted();
        await this.attempt(name, () => file.sync());
      } finally {
        await file.close();
      }
      await this.attempt(name, async () => {
        await rename(partial, path);
        await syncFolder(dirname(path));
        await this.removePartials(path);
      });
      return measured.finish();
    } catch (error) {
      // An object of that name may be another writer's, and part of a backup by now: it stays.
      await this.attempt(name, () => this.removeFiles([partial]));
      throw error;
    }
  }

  async putIfAbsent(name: string, body: Uint8Array, options: WriteOptions = {}): Promise<boolean> {
    try {
      // Unlike rename, link refuses a name that is taken.
      await this.writeSmall(name, body, options, link);
      return true;
    } catch (error) {
      if (error instanceof OpsError && (error.cause as NodeJS.ErrnoException)?.code === "EEXIST")
        return false;
      throw error;
    }
  }

  async replace(name: string, body: Uint8Array, options: WriteOptions = {}): Promise<void> {
    await this.writeSmall(name, body, options, rename);
  }

  async *get(name: string, options: ReadOptions = {}): AsyncGenerator<Uint8Array> {
    const { start = 0, end = Number.POSITIVE_INFINITY, signal } = options;
    if (end <= start) return;
    try {
      signal?.throwIfAborted();
      const range = { start, end: end - 1, highWaterMark: 256 * 1024 };
      const stream = createReadStream(this.path(name), range) as AsyncIterable<Buffer>;
      for await (const chunk of stream) {
        signal?.throwIfAborted();
        yield chunk;
      }
    } catch (error) {
      throw this.failure(name, error);
    }
  }

  async *list(prefix: string): AsyncGenerator<StoredObject> {
    const names = (await this.files(prefix)).filter((name) => !name.endsWith(partialSuffix));
    for (const name of names) {
      const found = await this.attempt(name, () => stat(this.path(name)).catch(missingIsUndefined));
      if (found !== undefined) yield { name, bytes: found.size };
    }
  }

  async *unfinished(prefix: string): AsyncGenerator<UnfinishedWrite> {
    for (const file of await this.files(prefix)) {
      const name = partialName.exec(file)?.[1];
      if (name === undefined) continue;
      const path = join(this.directory, file);
      const found = await this.attempt(name, () => stat(path).catch(missingIsUndefined));
      if (found === undefined) continue;
      const remove = () => this.attempt(name, () => this.removeFiles([path]));
      yield { name, startedAt: found.birthtime, remove };
    }
  }

  async delete(name: string): Promise<void> {
    const path = this.path(name);
    await this.attempt(name, async () => {
      await this.removeFiles([path]);
      await this.removePartials(path);
    });
  }

  /** What writers of this file that were killed have left; one that still writes fails. */
  private async removePartials(path: string): Promise<void> {
    const folder = dirname(path);
    const beside = await readdir(folder).catch((error) => missingIsUndefined(error) ?? []);
    const partials = beside.filter((each) => partialName.exec(each)?.[1] === basename(path));
    if (partials.length > 0) await this.removeFiles(partials.map((each) => join(folder, each)));
  }

  /** All of one folder; the folder too where nothing else is in it. */
  private async removeFiles(paths: readonly string[]): Promise<void> {
    for (const path of paths) await rm(path, { force: true });
    const folder = dirname(paths[0] ?? this.directory);
    if (folder === this.directory) return;
    await rmdir(folder).catch((error: NodeJS.ErrnoException) => {
      if (!["ENOENT", "ENOTEMPTY", "EEXIST"].includes(error.code ?? "")) throw error;
    });
  }

  private async writeSmall(
    name: string,
    body: Uint8Array,
    options: WriteOptions,
    install: (from: string, to: string) => Promise<void>,
  ): Promise<void> {
    this.refuseRetention(options);
    options.signal?.throwIfAborted();
    const path = this.path(name);
    const partial = partialOf(path);
    await this.attempt(name, async () => {
      await this.makeFolder(dirname(path));
      try {
        const file = await open(partial, "wx", 0o600);
        try {
          await writeAll(file, body);
          await file.sync();
        } finally {
          await file.close();
        }
        await install(partial, path);
      } finally {
        await rm(partial, { force: true });
        await syncFolder(dirname(path));
      }
    });
  }

  /** The names of all files that begin with the prefix, half-written ones included, in order. */
  private async files(prefix: string): Promise<string[]> {
    const found = await this.filesBelow("", prefix);
    return found.sort();
  }

  /**
   * Folder by folder: one that another process removes meanwhile has nothing in it, and says nothing about the others.
   * What cannot be the name of an object (`lost+found`, `.snapshot`) is somebody else's and is not looked into.
   */
  private async filesBelow(folder: string, prefix: string): Promise<string[]> {
    const entries = await this.attempt(folder, () =>
      readdir(join(this.directory, folder), { withFileTypes: true }).catch(
        (error) => missingIsUndefined(error) ?? [],
      ),
    );
    const found: string[] = [];
    for (const entry of entries) {
      const name = folder + entry.name;
      if (entry.isFile() && name.startsWith(prefix)) found.push(name);
      const leadsThere = `${name}/`.startsWith(prefix) || prefix.startsWith(`${name}/`);
      if (entry.isDirectory() && leadsThere && isObjectName(name))
        found.push(...(await this.filesBelow(`${name}/`, prefix)));
    }
    return found;
  }

  private refuseRetention({ retainUntil }: WriteOptions): void {
    if (retainUntil === undefined) return;
    throw new UsageError("E_OBJECT_LOCK", `${this.location} cannot keep anybody from deleting an object`, {
      hint: "retention needs a store on S3 whose bucket has Object Lock (docs/stores.md)",
    });
  }

  private path(name: string): string {
    checkObjectName(name);
    return join(this.directory, name);
  }

  /** Durable: each folder that was made is entered in its parent on the disk. */
  private async makeFolder(folder: string): Promise<void> {
    const first = await mkdir(folder, { recursive: true, mode: 0o700 });
    if (first === undefined) return;
    for (let each = folder; each.length >= first.length; each = dirname(each))
      await syncFolder(dirname(each));
  }

  private async attempt<T>(name: string, work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      throw this.failure(name, error);
    }
  }

  private failure(name: string, error: unknown): unknown {
    const code = error instanceof Error && "code" in error ? error.code : undefined;
    if (error instanceof OpsError || typeof code !== "string" || !/^E[A-Z0-9]+$/.test(code)) return error;
    if (code === "ENOENT") {
      return new OpsError("E_OBJECT_MISSING", `${this.location} has no object "${name}"`, {
        retryable: false,
      });
    }
    if (code === "ENOSPC" || code === "EDQUOT") {
      return new OpsError("E_STORE_FULL", `There is no space left in ${this.location}`, {
        cause: error,
        hint: "free some space there (see: df -h), then run it again; nothing of this object was kept",
      });
    }
    return new OpsError("E_STORE", `${this.location} cannot be used`, {
      cause: error,
      hint: "see that the folder is there and that this user may read and write it: ops doctor",
    });
  }
}

function partialOf(path: string): string {
  return `${path}~${randomBytes(4).toString("hex")}${partialSuffix}`;
}

async function writeAll(file: FileHandle, data: Uint8Array): Promise<void> {
  for (let offset = 0; offset < data.length; ) {
    const { bytesWritten } = await file.write(data, offset);
    offset += bytesWritten;
  }
}

async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

function missingIsUndefined(error: NodeJS.ErrnoException): undefined {
  if (error.code !== "ENOENT") throw error;
}
