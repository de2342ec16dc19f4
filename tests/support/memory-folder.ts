import { execFile } from "node:child_process";
import { chmod, mkdtemp, rm, statfs, writeFile } from "node:fs/promises";
import { freemem } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);

/** Where Linux has a file system in memory. */
const parent = "/dev/shm";
/** Bytes that the tests hold there at most, with room to spare: what they leave is removed as each of them ends. */
const needed = 6 * 2 ** 30;

/**
 * The temp folders of this run are in memory, where that has room: whatever waits for a disk there is a server's
 * `fsync`, a backup's or a journal's, and no test cuts the power. Elsewhere, and where TMPDIR is given, they are where
 * they always are.
 */
export default async function setup(): Promise<(() => Promise<void>) | undefined> {
  if (process.env.TMPDIR !== undefined || !(await hasRoom())) return undefined;
  // Short: sockets are in it.
  const folder = await mkdtemp(join(parent, "ops-"));
  const remove = () => rm(folder, { recursive: true, force: true });
  // As in /tmp, the servers' user makes its own there.
  await chmod(folder, 0o1777);
  if (!(await runsPrograms(folder))) {
    await remove();
    return undefined;
  }
  process.env.TMPDIR = folder;
  return remove;
}

async function hasRoom(): Promise<boolean> {
  if (process.platform !== "linux" || freemem() < 2 * needed) return false;
  const room = await statfs(parent).catch(() => undefined);
  return room !== undefined && room.bavail * room.bsize >= needed;
}

/** Some machines forbid it there, and tests write programs. */
async function runsPrograms(folder: string): Promise<boolean> {
  const program = join(folder, "program");
  await writeFile(program, "#!/bin/sh\n", { mode: 0o755 });
  const ran = await run(program).then(
    () => true,
    () => false,
  );
  await rm(program);
  return ran;
}
