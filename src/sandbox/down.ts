import { readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { folderState } from "./description.ts";
import type { SandboxLayout } from "./layout.ts";
import { stopProcesses } from "./processes.ts";

/**
 * Stops every process of the sandbox and removes its folder. Works on whatever a crash left, and is safe to call
 * again. Returns how many processes it stopped. Throws `E_SANDBOX_DIRECTORY` where the folder is not a sandbox.
 */
export async function takeDown(layout: SandboxLayout): Promise<number> {
  await folderState(layout);
  const stopped = await stopProcesses(layout);
  // The description goes last: a folder that is half removed is still known as a sandbox.
  const names = (await readdir(layout.directory).catch(missing)) ?? [];
  for (const name of names) {
    if (!name.startsWith("sandbox.json"))
      await rm(join(layout.directory, name), { recursive: true, force: true });
  }
  await rm(layout.directory, { recursive: true, force: true });
  return stopped;
}

function missing(error: NodeJS.ErrnoException): undefined {
  if (error.code !== "ENOENT") throw error;
  return undefined;
}
