import { execFileSync } from "node:child_process";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, it } from "vitest";
import { folderOf, forms } from "../../support/migration-folders.ts";

const generator = fileURLToPath(new URL("../../fixtures/migration-folders/generate.mjs", import.meta.url));

async function filesIn(directory: string): Promise<Map<string, string>> {
  const entries = await readdir(directory, { recursive: true, withFileTypes: true });
  const paths = entries.filter((each) => each.isFile()).map((each) => join(each.parentPath, each.name));
  const read = async (path: string) =>
    [path.slice(directory.length + 1), await readFile(path, "utf8")] as const;
  return new Map(await Promise.all(paths.toSorted().map(read)));
}

it("the folders of other tools are, byte for byte, what their generator writes", async () => {
  const directory = await mkdtemp(join(tmpdir(), "ops-forms-"));
  try {
    execFileSync(process.execPath, [generator, directory]);
    for (const form of forms) {
      expect(await filesIn(folderOf(form)), form).toEqual(await filesIn(join(directory, form)));
    }
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
});
