import { statfs } from "node:fs/promises";
import { dirname } from "node:path";
import { formatBytes } from "../core/size.ts";

/** Warn when less of the file system of pg_wal is free: the server stops where nothing is. */
export const leastFree = 0.2;

/** What a file of pg_wal that cannot be archived should be told with; undefined where there is room. */
export async function lowRoom(path: string): Promise<string | undefined> {
  const { bavail, blocks, bsize } = await statfs(dirname(path));
  const free = blocks === 0 ? 1 : bavail / blocks;
  return free >= leastFree ? undefined : roomLeft(bavail * bsize, free);
}

/** @param share of the whole, 0–1 */
export function roomLeft(freeBytes: number, share: number): string {
  return `pg_wal's file system has ${formatBytes(freeBytes)} free (${Math.floor(share * 100)}%): the server stops when it is full`;
}
