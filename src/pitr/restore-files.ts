import { readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { OpsError } from "../core/errors.ts";
import { serverBinaries } from "../postgres/binaries.ts";
import { findProgram } from "../postgres/programs.ts";
import { runProgram } from "../process/run-program.ts";
import type { BaseManifest } from "../wal-archive/base-manifest.ts";
import type { RestoreFolder } from "./restore-folder.ts";
import { type Compared, type UnpackWork, unpackBase, verifyBase } from "./unpack.ts";

/** How far a restore of the files has come. */
export const filesSchema = z.object({
  /** Names of the objects that are unpacked. */
  unpacked: z.array(z.string()).default([]),
  /** The links of a chain are one cluster, in its place. */
  combined: z.boolean().default(false),
});

export type FilesDone = z.output<typeof filesSchema>;

export type FilesWork = Omit<UnpackWork, "manifest" | "done" | "onDone"> & {
  /** The base backup, and before it what it is based on, the full one first. */
  readonly chain: readonly BaseManifest[];
  readonly done: FilesDone;
  onDone(done: FilesDone): Promise<void>;
};

/**
 * Fills the folder with the files of a base backup, checked by pg_verifybackup. An incremental one is put together by
 * pg_combinebackup from its chain, whose links are unpacked beside the folder and checked first. Called again after a
 * crash at any point it finishes. Throws `E_BACKUP_CORRUPT`, `E_PROGRAM_FAILED`.
 */
export async function restoreFiles(work: FilesWork): Promise<void> {
  const { chain, folder, user, signal, report } = work;
  const newest = chain.at(-1);
  if (newest === undefined) throw new Error("a chain without a base backup");
  const { path } = await findProgram("pg_verifybackup", majorOf(newest));
  const unpacked = [...work.done.unpacked];
  const unpack = (manifest: BaseManifest, into: RestoreFolder) =>
    unpackBase({
      ...work,
      manifest,
      folder: into,
      done: work.done.unpacked,
      onDone: async (object) => {
        unpacked.push(object);
        await work.onDone({ unpacked: [...unpacked], combined: false });
      },
    });
  const verify = async (manifest: BaseManifest, place: RestoreFolder, compared: Compared) => {
    report.progress({ message: `checking ${place.directory} with pg_verifybackup` });
    await verifyBase(manifest, place, path, user, compared, signal);
  };
  // Of what pg_combinebackup has written nothing was compared yet.
  let compared: Compared = "some";
  if (chain.length === 1) {
    compared = await unpack(newest, folder);
  } else {
    if (!work.done.combined) {
      for (const each of chain) {
        const link = folder.link(each.id);
        await link.claim(user);
        await verify(each, link, await unpack(each, link));
      }
      await combine(work, newest);
      await work.onDone({ unpacked, combined: true });
    }
    await folder.removeLinks();
  }
  await verify(newest, folder, compared);
}

/** Bytes that the disk must have room for: at the end of a chain all of its links and the cluster are on it. */
export function bytesOf(chain: readonly { readonly plainBytes: number }[]): number {
  const all = chain.reduce((sum, each) => sum + each.plainBytes, 0);
  return chain.length === 1 ? all : 2 * all;
}

/** Into an empty folder: what an earlier attempt wrote is removed. */
async function combine(
  { chain, folder, user, report, signal }: FilesWork,
  newest: BaseManifest,
): Promise<void> {
  report.progress({ message: `combining ${chain.length} base backups with pg_combinebackup` });
  await emptied(folder.directory);
  const mappings: string[] = [];
  for (const { tablespace } of newest.objects) {
    if (tablespace === null) continue;
    const place = await folder.addTablespace(tablespace.oid, user);
    await emptied(place);
    mappings.push(
      `--tablespace-mapping=${mapped(folder.link(newest.id).tablespace(tablespace.oid))}=${mapped(place)}`,
    );
  }
  const [file = "", ...args] = [
    ...user.prefix,
    ...leash,
    join(await serverBinaries(majorOf(newest)), "pg_combinebackup"),
    // The whole is synced once it is verified.
    "--no-sync",
    "--manifest-checksums=SHA256",
    ...mappings,
    `--output=${folder.directory}`,
    ...chain.map((each) => folder.link(each.id).directory),
  ];
  const { exitCode, stderr } = await runProgram(file, args, { signal, cwd: "/" });
  if (exitCode === 0) return;
  throw new OpsError(
    "E_PROGRAM_FAILED",
    `pg_combinebackup could not combine base backup ${newest.id} with what it is based on`,
    {
      cause: new Error(stderr.trim().split("\n").slice(-3).join("; ")),
      hint: "look at the room on that disk (df -h); then: ops runs resume",
    },
  );
}

/** Killed with us: an attempt that is left behind would write into the folder of the next one. */
const leash = process.platform === "linux" ? ["setpriv", "--pdeathsig", "KILL", "--"] : [];

async function emptied(directory: string): Promise<void> {
  for (const each of await readdir(directory))
    await rm(join(directory, each), { recursive: true, force: true });
}

/** The option's own syntax. */
function mapped(path: string): string {
  return path.replaceAll("=", "\\=");
}

function majorOf({ serverVersion }: BaseManifest): number {
  return Number.parseInt(serverVersion, 10);
}
