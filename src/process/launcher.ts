import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

/** The command that this code belongs to, as a program and its first argument, both absolute. */
export function launcher(): readonly [string, string] {
  for (let folder = dirname(fileURLToPath(import.meta.url)); ; folder = dirname(folder)) {
    const file = join(folder, "bin", "ops");
    if (existsSync(file)) return [process.execPath, file];
    if (folder === dirname(folder)) throw new Error("there is no bin/ops above this file");
  }
}
