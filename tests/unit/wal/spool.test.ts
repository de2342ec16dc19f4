import { execFile } from "node:child_process";
import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { describe, expect, it } from "vitest";

const run = promisify(execFile);
const source = new URL("../../../src/wal/lock.ts", import.meta.url).href;

describe("the spool in a data folder", () => {
  it("that was removed is not waited for without an end", async () => {
    const folder = await mkdtemp(join(tmpdir(), "ops-spool-"));
    const program = `
      import { rmdirSync } from "node:fs";
      import { tryLock } from ${JSON.stringify(source)};
      process.chdir(${JSON.stringify(folder)});
      rmdirSync(${JSON.stringify(folder)});
      await tryLock("pg_wal/ops-spool/fetch.lock");
    `;

    const ended = run(process.execPath, ["--input-type=module", "-e", program], { timeout: 20_000 });
    await expect(ended).rejects.toMatchObject({ code: 1, stderr: expect.stringContaining("ENOENT") });
  });
});
