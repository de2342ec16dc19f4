import { rename, writeFile } from "node:fs/promises";

/** Readers see the old text or the new one, never half of it. Not durable: it may be gone after a power cut. */
export async function writeAtomically(path: string, text: string, mode = 0o644): Promise<void> {
  const temporary = `${path}.${process.pid}`;
  await writeFile(temporary, text, { mode });
  await rename(temporary, path);
}
