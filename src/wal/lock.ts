import { readFile, rm, writeFile } from "node:fs/promises";
import { dirname } from "node:path";
import { z } from "zod";
import { liveness, thisProcess } from "../process/live-process.ts";
import { makeFolders } from "./spool.ts";

const holderSchema = z.object({ host: z.string(), pid: z.number(), pidStartedAt: z.string().nullable() });

/**
 * Keeps two calls from doing the same work, not from harm: what they do is safe to do twice. So it is a plain file,
 * which is taken over from a process that is gone.
 *
 * @returns what releases it; undefined where another process holds it
 */
export async function tryLock(path: string): Promise<(() => Promise<void>) | undefined> {
  makeFolders(dirname(path));
  const text = `${JSON.stringify(thisProcess())}\n`;
  for (let attempt = 1; attempt <= 2; attempt += 1) {
    try {
      await writeFile(path, text, { flag: "wx", mode: 0o600 });
      return async () => {
        if ((await readFile(path, "utf8").catch(() => "")) === text) await rm(path, { force: true });
      };
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
    }
    if (await isHeld(path)) return undefined;
    await rm(path, { force: true });
  }
  return undefined;
}

/** Whether a process that lives holds it. A file without a holder was left by a crash in the middle of writing it. */
export async function isHeld(path: string): Promise<boolean> {
  let value: unknown;
  try {
    value = JSON.parse(await readFile(path, "utf8"));
  } catch {
    return false;
  }
  const holder = holderSchema.safeParse(value).data;
  return holder !== undefined && liveness(holder) !== "gone";
}
