import { mkdir, mkdtempDisposable, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { findLeftovers } from "../../../src/archive/leftovers.ts";
import { FileStore } from "../../../src/storage/file-store.ts";

describe("a write that never ended", () => {
  it.each([
    ["an hour", 3_600_000, "a backup may still be writing it"],
    ["nothing", 0, undefined],
  ])("where quiet is %s, and the clock of the store ahead of ours", async (_, quietFor, busy) => {
    await using folder = await mkdtempDisposable(join(tmpdir(), "ops-leftovers-"));
    const id = "20261120T010736Z-main-zzzk";
    await mkdir(join(folder.path, id));
    await writeFile(join(folder.path, id, "hold.json~1f2e3d4c.partial"), "half");
    const now = new Date(Date.now() - 5_000);

    const found = await findLeftovers(new FileStore(folder.path), { now, quietFor, atWork: new Map() });

    expect(found).toMatchObject([{ id, unfinished: 1, busy }]);
  });
});
