import { execFileSync } from "node:child_process";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { lowRoom } from "../../../src/wal/disk-room.ts";
import { operations } from "../../../src/wal/operations.ts";
import { testContext } from "../../support/context.ts";

let folder: string;
let disk: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "ops-room-"));
  disk = join(folder, "disk");
  await mkdir(disk);
  execFileSync("mount", ["-t", "tmpfs", "-o", "size=10m", "tmpfs", disk]);
});
afterAll(async () => {
  // What the failed command had begun to read may still be open.
  execFileSync("umount", ["--lazy", disk]);
  await rm(folder, { recursive: true });
});

it("says so when the disk of pg_wal runs low, and only then", async () => {
  const segment = join(disk, "000000010000000000000001");
  await writeFile(segment, "");
  expect(await lowRoom(segment)).toBeUndefined();

  await writeFile(segment, Buffer.alloc(9 * 2 ** 20));
  expect(await lowRoom(segment)).toBe(
    "pg_wal's file system has 1.0 MiB free (10%): the server stops when it is full",
  );
});

it("is in the server's log beside why a file is not archived", async () => {
  const push = operations.find(({ name }) => name === "wal.push");
  if (push === undefined) throw new Error("there is no wal.push");
  const segment = join(disk, "000000010000000000000001");
  await writeFile(segment, Buffer.alloc(9 * 2 ** 20));
  const lines: string[] = [];
  const report = {
    progress() {},
    log: (line: string) => void lines.push(line),
    async checkpoint() {},
    last: undefined,
  };
  const settings = {
    databases: { main: { url: "postgresql://localhost/x", pitr: { store: "away" } } },
    stores: { away: { url: "file:/dev/null/none", recipients: [] } },
  };

  await expect(
    push.apply(testContext(settings), { path: segment, database: "main" }, null, report),
  ).rejects.toThrow();

  expect(lines).toEqual([expect.stringMatching(/^wal push: pg_wal's file system has 1\.0 MiB free/)]);
});
