import { createWriteStream } from "node:fs";
import { chown, readdir, rm, symlink } from "node:fs/promises";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import { OpsError } from "../core/errors.ts";
import { inParallel } from "../core/parallel.ts";
import type { Opener } from "../crypto/encryption.ts";
import { RunningProgram } from "../postgres/programs.ts";
import type { ServerUser } from "../postgres/unprivileged.ts";
import { requireProgram } from "../process/find-program.ts";
import { runProgram } from "../process/run-program.ts";
import { ByteProgress } from "../run/byte-progress.ts";
import type { Report } from "../run/operation.ts";
import type { ObjectStore } from "../storage/object-store.ts";
import { corruptBase, readBaseObject } from "../wal-archive/base-catalog.ts";
import type { BaseManifest, BaseObject } from "../wal-archive/base-manifest.ts";
import type { RestoreFolder } from "./restore-folder.ts";

export interface UnpackWork {
  readonly store: ObjectStore;
  readonly manifest: BaseManifest;
  readonly opener: Opener;
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

/** Every object into its place, by the stock `tar` from a pipe. Throws `E_BACKUP_CORRUPT`, `E_PROGRAM_FAILED`. */
export async function unpackBase(work: UnpackWork): Promise<void> {
  const { manifest, folder, report } = work;
  const left = manifest.objects.filter((each) => !work.done.includes(each.name));
  const total = left.reduce((sum, each) => sum + each.plainBytes, 0);
  const progress = new ByteProgress(report, `unpacking base backup ${manifest.id}`, total);
  const tar = await requireProgram("tar", "/");
  await inParallel(left, work.jobs, work.signal, async (object, signal) => {
    const source = counted(readBaseObject(work.store, manifest.id, object, work.opener), progress);
    if (object.content === "manifest") await writeManifest(source, work, signal);
    else await extract(tar, source, await placeOf(object, work), work.user, signal);
    await work.onDone(object.name);
  });
  await linkTablespaces(manifest, folder);
}

/** PostgreSQL's own check: every file is there with the size and checksum of the backup's manifest. */
export async function verifyBase(
  manifest: BaseManifest,
  folder: RestoreFolder,
  program: string,
  user: ServerUser,
  signal: AbortSignal,
): Promise<void> {
  const [file = "", ...args] = [...user.prefix, program, "--no-parse-wal", "--quiet", folder.directory];
  const { exitCode, stderr } = await runProgram(file, args, { signal, cwd: "/" });
  if (exitCode === 0) return;
  const [first = "pg_verifybackup finds a difference"] = stderr.trim().split("\n");
  throw corruptBase(manifest.id, "backup_manifest", `does not describe what was unpacked: ${first}`);
}

async function placeOf({ tablespace }: BaseObject, { folder, user }: UnpackWork): Promise<string> {
  return tablespace === null ? folder.directory : folder.addTablespace(tablespace.oid, user);
}

async function extract(
  tar: string,
  source: AsyncIterable<Uint8Array>,
  directory: string,
  user: ServerUser,
  signal: AbortSignal,
): Promise<void> {
  // As the server's user: what it unpacks belongs to it.
  const [path = "", ...args] = [...user.prefix, tar, "-x", "-p", "-f", "-", "-C", directory];
  const program = new RunningProgram({ path, version: "", major: 0 }, args, {}, signal);
  try {
    await program.feed(source, signal);
    await program.success();
  } catch (error) {
    if (!(error instanceof OpsError) || error.code !== "E_PROGRAM_FAILED") throw error;
    throw new OpsError("E_PROGRAM_FAILED", `tar could not unpack the base backup into ${directory}`, {
      cause: error.cause,
      hint: "look at the room on that disk (df -h); then: ops runs resume",
    });
  } finally {
    await program.stop();
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
