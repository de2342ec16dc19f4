import { createReadStream } from "node:fs";
import { type FileHandle, link, mkdir, open, readdir, rename, rm, rmdir, stat } from "node:fs/promises";
import { dirname, join, relative } from "node:path";
import { OpsError } from "../core/errors.ts";
import { Measured, type ObjectStore, type StoredObject, type Written } from "./object-store.ts";

const partialSuffix = ".partial";

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

  async put(
    name: string,
    body: AsyncIterable<Uint8Array>,
    options: { readonly signal?: AbortSignal } = {},
  ): Promise<Written> {
    const path = this.path(name);
    const partial = path + partialSuffix;
    const measured = new Measured();
    const file = await this.attempt(name, async () => {
      await this.makeFolder(dirname(path));
      return open(partial, "w", 0o600);
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
      });
      return measured.finish();
    } catch (error) {
      await this.delete(name);
      throw error;
    }
  }

  async putIfAbsent(name: string, body: Uint8Array): Promise<boolean> {
    const path = this.path(name);
    const partial = path + partialSuffix;
    return this.attempt(name, async () => {
      await this.makeFolder(dirname(path));
      try {
        const file = await open(partial, "w", 0o600);
        try {
          await writeAll(file, body);
          await file.sync();
        } finally {
          await file.close();
        }
        // Unlike rename, link refuses a name that is taken.
        await link(partial, path);
        return true;
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === "EEXIST") return false;
        throw error;
      } finally {
        await rm(partial, { force: true });
        await syncFolder(dirname(path));
      }
    });
  }

  async *get(name: string): AsyncGenerator<Uint8Array> {
    try {
      yield* createReadStream(this.path(name), { highWaterMark: 1024 * 1024 }) as AsyncIterable<Buffer>;
    } catch (error) {
      throw this.failure(name, error);
    }
  }

  async *list(prefix: string): AsyncGenerator<StoredObject> {
    const entries = await this.attempt("", () =>
      readdir(this.directory, { recursive: true, withFileTypes: true }).catch(
        (error: NodeJS.ErrnoException) => {
          if (error.code === "ENOENT") return [];
          throw error;
        },
      ),
    );
    const names = entries
      .filter((entry) => entry.isFile() && !entry.name.endsWith(partialSuffix))
      .map((entry) => relative(this.directory, join(entry.parentPath, entry.name)))
      .filter((name) => name.startsWith(prefix))
      .sort();
    for (const name of names) {
      const found = await this.attempt(name, () => stat(this.path(name)).catch(missingIsUndefined));
      if (found !== undefined) yield { name, bytes: found.size };
    }
  }

  async delete(name: string): Promise<void> {
    const path = this.path(name);
    await this.attempt(name, async () => {
      await rm(path, { force: true });
      await rm(path + partialSuffix, { force: true });
      if (dirname(path) === this.directory) return;
      await rmdir(dirname(path)).catch((error: NodeJS.ErrnoException) => {
        if (!["ENOENT", "ENOTEMPTY", "EEXIST"].includes(error.code ?? "")) throw error;
      });
    });
  }

  private path(name: string): string {
    if (!/^[A-Za-z0-9][\w.-]*(\/[A-Za-z0-9][\w.-]*)*$/.test(name) || name.endsWith(partialSuffix)) {
      throw new OpsError("E_OBJECT_NAME", `"${name}" cannot be the name of an object`, { retryable: false });
    }
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
