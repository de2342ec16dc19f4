import { randomUUID } from "node:crypto";
import { access, constants, open, rm, stat, statfs } from "node:fs/promises";
import { dirname, join } from "node:path";
import { causeText } from "../core/errors.ts";
import { formatBytes } from "../core/size.ts";
import { type Finding, missing, ok, warn } from "./finding.ts";

const lowShare = 0.1;
const lowBytes = 5 * 2 ** 30;

/** Whether files can be made in a folder, or the folder itself can be made. Leaves nothing behind. */
export async function writableDirectory(subject: string, directory: string): Promise<Finding> {
  const existing = await nearestExisting(directory);
  const mend = `sudo mkdir -p '${directory}' && sudo chown "$(id -un)" '${directory}'`;
  if (!(await stat(existing)).isDirectory()) {
    return missing(subject, `${existing} is a file, not a folder`, "name a folder in .opsrc");
  }
  try {
    if (existing === directory) await writeProbe(directory);
    else await access(existing, constants.W_OK | constants.X_OK);
  } catch (error) {
    return missing(subject, `${directory} cannot be written to: ${causeText(error)}`, mend);
  }
  return ok(subject, existing === directory ? `${directory} is writable` : `${directory} can be made`);
}

async function writeProbe(directory: string): Promise<void> {
  const path = join(directory, `.ops-doctor-${randomUUID()}`);
  const file = await open(path, "wx", 0o600);
  try {
    await file.writeFile("probe");
    await file.sync();
  } finally {
    await file.close();
    await rm(path, { force: true });
  }
}

/** Free space for an unprivileged user where the folder is, or will be. */
export async function freeSpace(subject: string, directory: string): Promise<Finding> {
  const { bavail, blocks, bsize } = await statfs(await nearestExisting(directory));
  return judgeSpace(subject, bavail * bsize, blocks * bsize);
}

export function judgeSpace(subject: string, free: number, total: number): Finding {
  const share = total === 0 ? 1 : free / total;
  const text = `${formatBytes(free)} of ${formatBytes(total)} free (${Math.floor(share * 100)}%)`;
  if (share >= lowShare && free >= lowBytes) return ok(subject, text);
  const limit = share < lowShare ? "less than 10%" : "less than 5 GiB";
  return warn(subject, `${text}, ${limit}`, "free some space, or move it to a larger disk in .opsrc");
}

async function nearestExisting(path: string): Promise<string> {
  try {
    await stat(path);
    return path;
  } catch (error) {
    const code = error instanceof Error && "code" in error ? error.code : undefined;
    if ((code !== "ENOENT" && code !== "ENOTDIR") || dirname(path) === path) throw error;
    return nearestExisting(dirname(path));
  }
}
