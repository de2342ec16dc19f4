import { createWriteStream } from "node:fs";
import { chown, readdir, rm, symlink } from "node:fs/promises";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import { inParallel } from "../core/parallel.ts";
import type { ServerUser } from "../postgres/unprivileged.ts";
import { runProgram } from "../process/run-program.ts";
import { ByteProgress } from "../run/byte-progress.ts";
import type { Report } from "../run/operation.ts";
import { corruptBase } from "../wal-archive/base-catalog.ts";
import type { BaseManifest, BaseObject } from "../wal-archive/base-manifest.ts";
import { type BaseSource, readBaseFrom } from "../wal-archive/read-base.ts";
import { type FileChecksums, largestManifest, parseFileChecksums } from "./file-checksums.ts";
import type { RestoreFolder } from "./restore-folder.ts";
import { TarError } from "./tar.ts";
import { DifferentFile, type ExtractWork, extractTar } from "./untar.ts";

export interface UnpackWork {
  /** Each may have it; what is damaged in one is taken from the next. */
  readonly sources: readonly BaseSource[];
  readonly manifest: BaseManifest;
  readonly folder: RestoreFolder;
  readonly user: ServerUser;
  /** How many objects at once. */
  readonly jobs: number;
  readonly report: Report;
  readonly signal: AbortSignal;
  /** Names of objects that are unpacked already. */
  readonly done: readonly string[];
  onDone(name: string): Promise<void>;
}

/** What was compared with the backup_manifest on the way: every file, or not all of them. */
export type Compared = "all" | "some";

/** Every object into its place. Throws `E_BACKUP_CORRUPT`, `E_DISK_SPACE`, `E_RESTORE_FOLDER`. */
export async function unpackBase(work: UnpackWork): Promise<Compared> {
  const { manifest, folder, report } = work;
  const left = manifest.objects.filter((each) => !work.done.includes(each.name));
  const total = left.reduce((sum, each) => sum + each.plainBytes, 0);
  const progress = new ByteProgress(report, `unpacking base backup ${manifest.id}`, total);
  const checksums = await fileChecksums(work);
  await inParallel(left, work.jobs, work.signal, async (object, signal) => {
    const source = counted(readBaseFrom(work.sources, manifest.id, object), progress);
    if (object.content === "manifest") await writeManifest(source, work, signal);
    else await extract(source, object, work, { checksums, signal });
    await work.onDone(object.name);
  });
  await linkTablespaces(manifest, folder);
  // What an attempt that was killed has written may have been lost in a power cut.
  return checksums !== undefined && left.length === manifest.objects.length ? "all" : "some";
}

/**
 * PostgreSQL's own check: every file is there with its size, and, where not all were compared while they were written,
 * with its checksum.
 */
export async function verifyBase(
  manifest: BaseManifest,
  folder: RestoreFolder,
  program: string,
  user: ServerUser,
  compared: Compared,
  signal: AbortSignal,
): Promise<void> {
  const options = ["--no-parse-wal", "--quiet", ...(compared === "all" ? ["--skip-checksums"] : [])];
  const [file = "", ...args] = [...user.prefix, program, ...options, folder.directory];
  const { exitCode, stderr } = await runProgram(file, args, { signal, cwd: "/" });
  if (exitCode === 0) return;
  const [first = "pg_verifybackup finds a difference"] = stderr.trim().split("\n");
  throw corruptBase(manifest.id, "backup_manifest", `does not describe what was unpacked: ${first}`);
}

/** Undefined where the manifest is too large, or is none that we know. */
async function fileChecksums(work: UnpackWork): Promise<FileChecksums | undefined> {
  const { manifest, sources } = work;
  const object = manifest.objects.find((each) => each.content === "manifest");
  if (object === undefined || object.plainBytes > largestManifest) return undefined;
  const parts: Uint8Array[] = [];
  for await (const part of readBaseFrom(sources, manifest.id, object)) parts.push(part);
  return parseFileChecksums(Buffer.concat(parts));
}

async function extract(
  source: AsyncIterable<Uint8Array>,
  object: BaseObject,
  { manifest, folder, user }: UnpackWork,
  work: Pick<ExtractWork, "checksums" | "signal">,
): Promise<void> {
  const { name, tablespace } = object;
  const place =
    tablespace === null
      ? { directory: folder.directory, prefix: "" }
      : {
          directory: await folder.addTablespace(tablespace.oid, user),
          prefix: `pg_tblspc/${tablespace.oid}/`,
        };
  try {
    await extractTar(source, { ...place, ...work, user });
  } catch (error) {
    if (error instanceof DifferentFile || error instanceof TarError)
      throw corruptBase(manifest.id, name, `is not what PostgreSQL sent: ${error.message}`);
    throw error;
  }
}

async function writeManifest(
  source: AsyncIterable<Uint8Array>,
  { folder, user }: UnpackWork,
  signal: AbortSignal,
): Promise<void> {
  const path = join(folder.directory, "backup_manifest");
  await pipeline(source, createWriteStream(path, { mode: 0o600 }), { signal });
  if (user.owner !== undefined) await chown(path, user.owner.uid, user.owner.gid);
}

/** The links of the backup lead to where the tablespaces are on the server that it was made of. */
async function linkTablespaces(manifest: BaseManifest, folder: RestoreFolder): Promise<void> {
  const links = join(folder.directory, "pg_tblspc");
  for (const name of await readdir(links)) await rm(join(links, name), { force: true });
  for (const { tablespace } of manifest.objects) {
    if (tablespace === null) continue;
    await symlink(folder.tablespace(tablespace.oid), join(links, String(tablespace.oid)));
  }
}

async function* counted(
  source: AsyncIterable<Uint8Array>,
  progress: ByteProgress,
): AsyncGenerator<Uint8Array> {
  for await (const chunk of source) {
    progress.add(chunk.length);
    yield chunk;
  }
}
