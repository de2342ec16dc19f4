/*
 * Keeps one Ceph for a whole test run, as a process of its own: `keeper.ts FOLDER PID`. Writes FOLDER/ready.json (or
 * FOLDER/failed.txt), and ends with all its daemons, and with the folder, at SIGTERM or when the process PID is gone.
 */
import { rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { Ceph } from "./server.ts";

const [folder = "", owner = ""] = process.argv.slice(2);
const ceph = new Ceph(folder);
let ending = false;

async function end(): Promise<void> {
  if (ending) return;
  ending = true;
  clearInterval(watch);
  await ceph.stop();
  await rm(folder, { recursive: true, force: true });
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    // No such process: that is the answer.
    return false;
  }
}

const watch = setInterval(() => {
  if (!isAlive(Number(owner))) void end();
}, 1000);
process.on("SIGTERM", () => void end());
// Ctrl-C in a terminal reaches the whole group; the owner says when it is over.
process.on("SIGINT", () => undefined);

try {
  const server = await ceph.start();
  if (!ending) {
    await writeFile(join(folder, "access-key"), server.accessKey);
    await writeFile(join(folder, "secret-key"), server.secretKey);
    await writeFile(join(folder, "ready.tmp"), JSON.stringify(server));
    await rename(join(folder, "ready.tmp"), join(folder, "ready.json"));
  }
} catch (error) {
  if (!ending) await writeFile(join(folder, "failed.txt"), String(error));
}
