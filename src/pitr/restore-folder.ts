import { chown, lstat, mkdir, open, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { UsageError } from "../core/errors.ts";
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
    for (const folder of [this.directory, this.tablespaces, this.links]) {
      if ((await entriesOf(folder)).length > 0) throw notEmpty(folder);
    }
    if ((await this.owner()) !== undefined) throw notEmpty(this.directory);
  }

  /** Takes them, once and again. Throws `E_RESTORE_FOLDER` where somebody else has been quicker. */
  async claim(user: ServerUser): Promise<void> {
    if (!(await this.isOurs())) {
      await this.requireEmpty();
      await mkdir(dirname(this.directory), { recursive: true });
      await writeFile(this.mark, `${this.token}\n`, { mode: 0o600, flag: "wx" });
    }
    await ownedFolder(this.directory, user);
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
    // A process that fetches WAL ahead for its server may just be ending there.
    await rm(this.directory, { recursive: true, force: true, maxRetries: 20 });
    await rm(this.tablespaces, { recursive: true, force: true });
    await this.removeLinks();
    await rm(`${this.directory}.log`, { force: true });
    await rm(this.mark, { force: true });
  }

  /** Whole and durable, belonging to the server's user. */
  async write(file: string, content: string, user: ServerUser): Promise<void> {
    const path = join(this.directory, file);
    const unfinished = `${path}.ops`;
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

  private get links(): string {
    return `${this.directory}.chain`;
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

async function entriesOf(path: string): Promise<string[]> {
  const found = await lstat(path).catch(absent);
  if (found !== undefined && !found.isDirectory()) throw notEmpty(path);
  return found === undefined ? [] : readdir(path);
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
