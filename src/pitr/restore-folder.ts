import { chown, link, lstat, mkdir, open, readdir, readFile, rename, rm, rmdir } from "node:fs/promises";
import { dirname, join, relative } from "node:path";
import { OpsError, UsageError } from "../core/errors.ts";
import type { ServerUser } from "../postgres/unprivileged.ts";

/**
 * The folders that a restore fills. From before the first file is in it until the restore is undone, a file beside the
 * data folder says whose it is, so that nothing is ever overwritten or removed that was not put there by this run.
 */
export class RestoreFolder {
  /** Absolute paths. */
  readonly directory: string;
  readonly tablespaces: string;
  private readonly token: string;

  constructor(directory: string, tablespaces: string, token: string) {
    this.directory = directory;
    this.tablespaces = tablespaces;
    this.token = token;
  }

  /** Where a tablespace goes: a folder of its own. */
  tablespace(oid: number): string {
    return join(this.tablespaces, String(oid));
  }

  /** Where a link of a chain is unpacked until the chain is combined: beside the data folder. */
  link(id: string): RestoreFolder {
    const directory = join(this.links, id);
    return new RestoreFolder(directory, `${directory}.tablespaces`, this.token);
  }

  async removeLinks(): Promise<void> {
    await rm(this.links, { recursive: true, force: true });
  }

  /** Throws `E_RESTORE_FOLDER` where there is something in one of them already. */
  async requireEmpty(): Promise<void> {
    if (isWithin(this.tablespaces, this.directory) || isWithin(this.directory, this.tablespaces)) {
      throw new UsageError("E_RESTORE_FOLDER", `${this.directory} and ${this.tablespaces} are not apart`, {
        hint: "name a folder for tablespaces that is not in the data folder, nor around it: --tablespaces-dir",
      });
    }
    try {
      for (const folder of [this.directory, this.tablespaces, this.links]) {
        if ((await entriesOf(folder)).length > 0) throw notEmpty(folder);
      }
      for (const file of [this.mark, this.log]) {
        if ((await lstat(file).catch(absent)) !== undefined) throw taken(this.directory, file);
      }
    } catch (error) {
      throw unusable(this.directory, error);
    }
  }

  /** Takes them, once and again. Throws `E_RESTORE_FOLDER` where somebody else has been quicker. */
  async claim(user: ServerUser): Promise<void> {
    try {
      if (!(await this.isOurs())) {
        await this.requireEmpty();
        await this.writeMark();
      }
      await ownedFolder(this.directory, user);
      await rm(this.unfinishedMark, { force: true });
    } catch (error) {
      throw unusable(this.directory, error);
    }
  }

  async addTablespace(oid: number, user: ServerUser): Promise<string> {
    await ownedFolder(this.tablespaces, user);
    await ownedFolder(this.tablespace(oid), user);
    return this.tablespace(oid);
  }

  async isOurs(): Promise<boolean> {
    return (await this.owner()) === this.token;
  }

  /** Everything in them; the mark last. */
  async remove(): Promise<void> {
    await removeFolder(this.directory);
    await removeFolder(this.tablespaces);
    await this.removeLinks();
    await rm(this.log, { force: true });
    await rm(this.unfinishedMark, { force: true });
    await rm(this.mark, { force: true });
  }

  /** Whole and durable, belonging to the server's user. */
  async write(file: string, content: string, user: ServerUser): Promise<void> {
    const path = join(this.directory, file);
    const unfinished = this.unfinished(file);
    {
      await using handle = await open(unfinished, "w", 0o600);
      await handle.writeFile(content);
      if (user.owner !== undefined) await handle.chown(user.owner.uid, user.owner.gid);
      await handle.sync();
    }
    await rename(unfinished, path);
  }

  /** Undefined where there is no such file. */
  async read(file: string): Promise<string | undefined> {
    return readFile(join(this.directory, file), "utf8").catch(absent);
  }

  /** Fine where there is no such file. */
  async discard(file: string): Promise<void> {
    await rm(join(this.directory, file), { force: true });
  }

  /** What a `write` that was killed has left. */
  async discardUnfinished(file: string): Promise<void> {
    await rm(this.unfinished(file), { force: true });
  }

  private unfinished(file: string): string {
    return join(this.directory, `${file}.ops`);
  }

  private get links(): string {
    return `${this.directory}.chain`;
  }

  /** Of the server that is started on the folder. */
  private get log(): string {
    return `${this.directory}.log`;
  }

  /** Durable and whole once it has its name; unlike rename, link refuses a name that is taken. */
  private async writeMark(): Promise<void> {
    await mkdir(dirname(this.directory), { recursive: true });
    {
      await using file = await open(this.unfinishedMark, "w", 0o600);
      await file.writeFile(`${this.token}\n`);
      await file.sync();
    }
    await link(this.unfinishedMark, this.mark);
  }

  private get unfinishedMark(): string {
    return `${this.mark}.${this.token}`;
  }

  private get mark(): string {
    return `${this.directory}.ops-restore`;
  }

  private async owner(): Promise<string | undefined> {
    return (await readFile(this.mark, "utf8").catch(absent))?.trim();
  }
}

async function ownedFolder(path: string, { owner }: ServerUser): Promise<void> {
  await mkdir(path, { recursive: true, mode: 0o700 });
  if (owner !== undefined) await chown(path, owner.uid, owner.gid);
}

/** Where a disk is mounted the folder stays, empty. */
async function removeFolder(path: string): Promise<void> {
  // A process that fetches WAL ahead for its server may just be ending there.
  const options = { recursive: true, force: true, maxRetries: 20 };
  for (const each of (await readdir(path).catch(absent)) ?? []) await rm(join(path, each), options);
  await rmdir(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== "EBUSY") absent(error);
  });
}

async function entriesOf(path: string): Promise<string[]> {
  const found = await lstat(path).catch(absent);
  if (found !== undefined && !found.isDirectory()) throw notEmpty(path);
  return found === undefined ? [] : readdir(path);
}

/** Of absolute paths; a folder is within itself. */
function isWithin(path: string, folder: string): boolean {
  const way = relative(folder, path);
  return way === "" || (way !== ".." && !way.startsWith("../"));
}

function taken(directory: string, file: string): UsageError {
  return new UsageError("E_RESTORE_FOLDER", `${directory} was restored into before: ${file} is there`, {
    hint: `take back that restore (ops runs rollback), remove this file, or name another folder: --target-dir`,
  });
}

function unusable(folder: string, error: unknown): unknown {
  if (!(error instanceof Error && "code" in error) || error instanceof OpsError) return error;
  return new OpsError("E_RESTORE_FOLDER", `${folder} cannot be made and filled`, {
    cause: error,
    hint: "what belongs to a restore is written into the folder and beside it: name a folder in one of this user's own: --target-dir",
  });
}

function notEmpty(path: string): UsageError {
  return new UsageError("E_RESTORE_FOLDER", `${path} is not an empty folder`, {
    hint: "name a folder that does not exist yet: --target-dir; a restore never overwrites anything",
  });
}

function absent(error: NodeJS.ErrnoException): undefined {
  if (error.code !== "ENOENT") throw error;
  return undefined;
}
