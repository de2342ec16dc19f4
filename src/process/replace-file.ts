import { open, realpath, rename, rm, stat } from "node:fs/promises";
import { dirname } from "node:path";

/**
 * Readers see the old text or the new one, never half of it, and the new one is on the disk when it returns. The file keeps
 * its mode, and a symbolic link stays one. Two at once need a lock around them.
 *
 * @param newMode of a file that was not there
 */
export async function replaceFile(path: string, text: string, newMode = 0o644): Promise<void> {
  const target = await realpath(path).catch(absent);
  const file = target ?? path;
  const mode = target === undefined ? newMode : (await stat(target)).mode & 0o777;
  // Always the same name: what a crash leaves is overwritten by the next call.
  const temporary = `${file}.new`;
  await rm(temporary, { force: true });
  const handle = await open(temporary, "wx", mode);
  try {
    await handle.writeFile(text);
    await handle.chmod(mode);
    await handle.sync();
  } finally {
    await handle.close();
  }
  await rename(temporary, file);
  const folder = await open(dirname(file), "r");
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}

function absent(error: unknown): undefined {
  if (error instanceof Error && "code" in error && error.code === "ENOENT") return undefined;
  throw error;
}
