import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { afterAll, beforeAll } from "vitest";
import { projectRoot } from "./ops.ts";

/**
 * A program of a series that starts it dozens of times, in one file as the command is built: finding and compiling
 * hundreds of sources was three quarters of each start. `pg` stays itself, for those who watch its statements.
 *
 * @param source the program
 * @returns its path, once the tests of the file begin
 */
export function bundledProgram(source: URL): () => string {
  let folder: string | undefined;
  beforeAll(async () => {
    const parent = join(projectRoot, "node_modules", ".cache");
    await mkdir(parent, { recursive: true });
    // Below the project: what is not bundled is found there.
    folder = await mkdtemp(join(parent, "program-"));
    await build({
      entryPoints: [fileURLToPath(source)],
      outdir: folder,
      outExtension: { ".js": ".mjs" },
      bundle: true,
      splitting: true,
      format: "esm",
      platform: "node",
      mainFields: ["module", "main"],
      external: ["pg", "pg-native", "libpg-query", "squawk-cli"],
      banner: { js: "const require = process.getBuiltinModule;" },
      logLevel: "silent",
    });
  });
  afterAll(async () => {
    if (folder !== undefined) await rm(folder, { recursive: true, force: true });
  });
  return () => join(folder ?? "", basename(fileURLToPath(source)).replace(/\.ts$/, ".mjs"));
}
