import { type Stats, watch as watchFolder } from "node:fs";
import { type FileHandle, mkdir, open, readFile, realpath, rename, rm, stat } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { digest } from "../core/digest.ts";
import { UsageError } from "../core/errors.ts";
import { withFileLock } from "../process/file-lock.ts";
import { appendHistory, carriedOut, confirmHistory, readHistory } from "./file-history.ts";
import { editedText, type FileForm, formOf, readText } from "./file-text.ts";
import type { Difference, FlagSet } from "./flag-set.ts";
import type { ChangeNote, FlagChange, FlagSource } from "./flag-source.ts";
import type { Finding } from "./lint.ts";
import { yamlFindings } from "./lint-yaml.ts";
import { changedByHand, prepared } from "./prepared.ts";

export interface FileOptions {
  /** Absolute path. */
  readonly file: string;
  /** Absolute path of its history. */
  readonly history: string;
  /** Where the lock is. */
  readonly stateDirectory: string;
  readonly now: () => Date;
  readonly signal: AbortSignal;
}

/** Milliseconds between looks at a file that is watched, beside what the system tells. */
const lookEvery = 500;

/** Milliseconds that a change waits for another one. */
const patience = 10_000;

/**
 * Flags in a file of flagd, JSON or YAML. Guarantee: readers see the old file or the new one, whole, whatever dies in
 * between, and what somebody changed by hand since it was read is not overwritten.
 */
export class FileFlagSource implements FlagSource {
  readonly place: string;
  private readonly options: FileOptions;
  private readonly form: FileForm;

  constructor(options: FileOptions) {
    this.options = options;
    this.place = basename(options.file);
    this.form = formOf(options.file);
  }

  async read(): Promise<FlagSet> {
    const { set } = await this.readFile();
    return this.withTimes(set);
  }

  async writtenFindings(): Promise<readonly Finding[]> {
    return this.form === "json" ? [] : yamlFindings((await this.readFile()).text);
  }

  async update(note: ChangeNote, edit: (now: FlagSet) => FlagSet): Promise<FlagSet> {
    const { file, history, signal, now } = this.options;
    return withFileLock(await this.lock(), { patience, signal }, async () => {
      const before = await this.readFile();
      const present = await this.withTimes(before.set);
      const { next, changes } = prepared(present, edit, note);
      if (changes.length === 0) return present;
      const text = editedText(this.place, this.form, before.text, before.set, next);
      await this.refuseReadOnly();
      await mkdir(dirname(file), { recursive: true });
      const announced = await appendHistory(history, note, changes, now());
      await this.replace(text, before.version, changes);
      await confirmHistory(history, announced);
      return this.withTimes(next);
    });
  }

  async changes({ flag, limit }: { flag?: string | undefined; limit: number }): Promise<FlagChange[]> {
    const { set } = await this.readFile();
    const history = await this.history(set);
    const wanted = history.filter(
      (each) => flag === undefined || (each.subject === "flag" && each.name === flag),
    );
    return wanted.toReversed().slice(0, limit);
  }

  async watch(changed: () => void, signal: AbortSignal): Promise<void> {
    const { file } = this.options;
    let seen = await this.version();
    let looking = Promise.resolve();
    const look = (): void => {
      looking = looking.then(async () => {
        const now = await this.version();
        if (now !== seen && !signal.aborted) {
          seen = now;
          changed();
        }
      });
    };
    // The folder: an atomic write replaces the file, and a watch of the file itself would end with the old one.
    const watcher = watchFolder(dirname(file), look).on("error", look);
    const timer = setInterval(look, lookEvery);
    changed();
    await new Promise<void>((resolve) => {
      if (signal.aborted) resolve();
      else signal.addEventListener("abort", () => resolve(), { once: true });
    });
    clearInterval(timer);
    watcher.close();
    await looking;
  }

  async close(): Promise<void> {}

  /** In the state folder: the lock of SQLite leaves its file behind, which does not belong beside flags in git. */
  private async lock(): Promise<string> {
    const folder = join(this.options.stateDirectory, "flag-locks");
    await mkdir(folder, { recursive: true });
    return join(folder, digest(await this.realFile()).slice("sha256:".length, 24));
  }

  /** Behind symbolic links: those stay, and whoever changes the same file by another name waits for the same lock. */
  private realFile(): Promise<string> {
    const { file } = this.options;
    return realpath(file).catch(() => file);
  }

  /** Of what the file says now; of a file that is not there, that of nothing. */
  private async version(): Promise<string> {
    const text = await readFile(this.options.file, "utf8").catch(() => "");
    return digest(text);
  }

  private async readFile(): Promise<{ text: string; version: string; set: FlagSet }> {
    const { file } = this.options;
    let text: string;
    try {
      text = await readFile(file, "utf8");
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "ENOENT") {
        throw new UsageError("E_FLAG_FILE", `The flags in ${file} cannot be read`, {
          cause: error,
          hint: "look at its rights and its path in .opsrc: flag-sources",
        });
      }
      text = "";
    }
    return { text, version: digest(text), set: readText(this.place, this.form, text) };
  }

  /** It is replaced, which its own rights would not stop. */
  private async refuseReadOnly(): Promise<void> {
    const { file } = this.options;
    const mode = (await stat(file).catch(() => undefined))?.mode ?? 0o644;
    if ((mode & 0o222) !== 0) return;
    throw new UsageError("E_FLAG_FILE", `${file} is read-only`, {
      hint: `nothing was written; where it may be changed: chmod u+w ${file}`,
    });
  }

  /** Writes aside, durably, then puts it in place, unless somebody changed the file since it was read. */
  private async replace(text: string, version: string, changes: readonly Difference[]): Promise<void> {
    const file = await this.realFile();
    const before = await stat(file).catch(() => undefined);
    // One name for all who have the same lock: it is ours, and what a crash left is written over. With another state folder,
    // and so another lock, it is another one.
    const own = digest(this.options.stateDirectory).slice("sha256:".length, 15);
    const partial = join(dirname(file), `.${basename(file)}.${own}.ops-partial`);
    const handle = await open(partial, "w", (before?.mode ?? 0o644) & 0o777);
    try {
      await handle.writeFile(text);
      if (before !== undefined) await keepOwner(handle, before);
      await handle.sync();
    } finally {
      await handle.close();
    }
    if ((await this.version()) !== version) {
      await rm(partial, { force: true });
      throw changedByHand(changes.map((each) => each.name).join(", "), this.place);
    }
    await rename(partial, file);
    const folder = await open(dirname(file), "r");
    await folder.sync().finally(() => folder.close());
  }

  private async history(set: FlagSet): Promise<FlagChange[]> {
    const entries = await readHistory(this.options.history);
    return carriedOut(entries, ({ subject, name }) => {
      if (subject === "flag") return set.flags.get(name)?.definition ?? null;
      return (subject === "segment" ? set.evaluators : set.metadata).get(name) ?? null;
    });
  }

  /** With the time and author of each flag's last change, as the history knows them. */
  private async withTimes(set: FlagSet): Promise<FlagSet> {
    const newest = new Map<string, FlagChange>();
    for (const each of await this.history(set)) if (each.subject === "flag") newest.set(each.name, each);
    const flags = [...set.flags].map(([name, { definition }]) => {
      const last = newest.get(name);
      return [name, { definition, changedAt: last?.at ?? null, changedBy: last?.actor ?? null }] as const;
    });
    return { ...set, flags: new Map(flags) };
  }
}

/** Whoever reads the file must be able to afterwards, also where root or a colleague has changed it. */
async function keepOwner(handle: FileHandle, { uid, gid, mode }: Stats): Promise<void> {
  const made = await handle.stat();
  try {
    if (made.uid !== uid || made.gid !== gid) await handle.chown(uid, gid);
  } catch (error) {
    // Only root gives files away: then it is the writer's, as a file that an editor replaces.
    if ((error as NodeJS.ErrnoException).code !== "EPERM") throw error;
  }
  await handle.chmod(mode & 0o777);
}
