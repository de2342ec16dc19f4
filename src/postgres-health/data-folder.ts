import { open } from "node:fs/promises";
import { join } from "node:path";

/**
 * Whether the data folder of that cluster is here, for us to look into: a folder of that name may be here although the
 * server is elsewhere, and its pg_control says whose it is. Throws the file system's error where it cannot be read.
 */
export async function isDataFolderOf(directory: string, systemIdentifier: string): Promise<boolean> {
  const file = await open(join(directory, "global/pg_control"), "r");
  try {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(8), 0, 8, 0);
    return bytesRead === 8 && buffer.readBigUInt64LE(0).toString() === systemIdentifier;
  } finally {
    await file.close();
  }
}
