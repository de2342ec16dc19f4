import { execFile } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

const generator = fileURLToPath(new URL("../fixtures/migration-folders/generate.mjs", import.meta.url));

/** The folders of other tools' migrations, written once for all tests of a run, who only read them. */
export default async function setup(): Promise<() => Promise<void>> {
  const folder = await mkdtemp(join(tmpdir(), "ops-forms-"));
  await promisify(execFile)(process.execPath, [generator, folder]);
  process.env.OPS_TEST_MIGRATION_FOLDERS = folder;
  return () => rm(folder, { recursive: true, force: true });
}
