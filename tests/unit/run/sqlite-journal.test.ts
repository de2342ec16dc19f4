import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { ProcessIdentity } from "../../../src/process/live-process.ts";
import { type Journal, leaseDuration } from "../../../src/run/journal.ts";
import { SqliteJournal } from "../../../src/run/sqlite-journal.ts";
import { failure, HeldClock, journalContract, runRequest } from "../../support/journal-contract.ts";

let folder: string;
let clock: HeldClock;
let opened: Journal[];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "ops-journal-"));
  clock = new HeldClock();
  opened = [];
});

afterEach(async () => {
  for (const journal of opened) await journal.close();
  await rm(folder, { recursive: true, force: true });
});

/** A process of which only its lease can tell whether it still lives. */
const elsewhere: ProcessIdentity = { host: "another-machine", pid: process.pid, pidStartedAt: null };

/** Has a database for itself for a moment, as whoever closes it last. */
const alone = `
  const { DatabaseSync } = require("node:sqlite");
  const database = new DatabaseSync(process.argv[1]);
  database.exec("PRAGMA locking_mode = EXCLUSIVE; BEGIN IMMEDIATE; PRAGMA user_version = 1; COMMIT");
  process.stdout.write("alone");
  setTimeout(() => database.close(), 300);
`;

async function open(self?: ProcessIdentity): Promise<Journal> {
  const journal = SqliteJournal.open(folder, clock, self);
  opened.push(journal);
  return journal;
}

describe("the journal in SQLite", () => {
  journalContract(() => ({ clock, open: () => open(elsewhere) }));

  it("a process of this machine that certainly lives keeps its lease, whatever the clock says", async () => {
    const [paused, other] = [await open(), await open()];
    const lease = await paused.create("r1", runRequest({ targets: ["a"] }));
    clock.move(leaseDuration * 100);

    expect(await failure(other.reopen("r1", ["a"]))).toMatchObject({ code: "E_LOCK_HELD" });
    await expect(paused.append(lease, { type: "run.done" })).resolves.toMatchObject({ sequence: 2 });
  });

  it("is ordered by what happened, also when the clock is set back", async () => {
    const journal = await open();
    await journal.create("r1", runRequest());
    clock.move(-3_600_000);
    await journal.create("r2", runRequest());

    expect(await journal.runs()).toEqual(["r2", "r1"]);
    const [first, second] = [await journal.entries("r1"), await journal.entries("r2")];
    expect(second[0]?.position).toBeGreaterThan(first[0]?.position ?? 0);
  });

  it("can be looked at where it cannot be written", async () => {
    await (await open()).create("r1", runRequest());

    const reader = SqliteJournal.openToRead(folder, clock);
    opened.push(reader);

    expect(await reader.runs()).toEqual(["r1"]);
    expect(await failure(reader.create("r2", runRequest()))).toMatchObject({ code: "E_JOURNAL" });
  });

  it("is waited for while its last writer closes it", async () => {
    await (await open()).create("r1", runRequest());
    for (const each of opened.splice(0)) await each.close();
    const closing = spawn(process.execPath, ["-e", alone, SqliteJournal.file(folder)]);
    await once(closing.stdout, "data");

    const reader = SqliteJournal.openToRead(folder, clock);
    opened.push(reader);

    expect(await reader.runs()).toEqual(["r1"]);
    await once(closing, "exit");
  });

  it("is append-only also for somebody with an SQL shell", async () => {
    const journal = await open();
    await journal.create("r1", runRequest());
    const database = new DatabaseSync(SqliteJournal.file(folder));

    expect(() => database.exec("DELETE FROM event")).toThrow("append-only");
    expect(() => database.exec("UPDATE event SET data = NULL")).toThrow("append-only");
    database.close();
  });

  it("is synchronous and in WAL mode, in a folder for its owner only", async () => {
    await rm(folder, { recursive: true });
    await open();

    expect((await stat(folder)).mode & 0o777).toBe(0o700);
    const database = new DatabaseSync(SqliteJournal.file(folder));
    expect(database.prepare("PRAGMA journal_mode").get()).toEqual({ journal_mode: "wal" });
    database.close();
  });

  it("of a newer version is refused, not damaged", async () => {
    await (await open()).close();
    opened = [];
    const database = new DatabaseSync(SqliteJournal.file(folder));
    database.exec("PRAGMA user_version = 99");
    database.close();

    await expect(open()).rejects.toMatchObject({ code: "E_JOURNAL", exitCode: 2, hint: /upgrade ops/ });
  });

  it("that is no database is named", async () => {
    const { writeFile } = await import("node:fs/promises");
    await writeFile(SqliteJournal.file(folder), "this is no database, whatever its name says".repeat(50));

    await expect(open()).rejects.toMatchObject({
      code: "E_JOURNAL",
      message: expect.stringContaining(folder),
    });
  });

  it("frees the leases of a process that is gone before they expire", async () => {
    await createInChild("r1", "a");
    const journal = await open();

    expect(await journal.holder("r1")).toBeUndefined();
    await expect(journal.reopen("r1", ["a"])).resolves.toMatchObject({ run: "r1" });
  });

  it("gives a target to one of two processes that ask at once", async () => {
    await (await open()).close();
    opened = [];

    const codes = await Promise.all([createInChild("r1", "a", 500), createInChild("r2", "a", 500)]);

    expect(codes.sort()).toEqual([0, 6]);
  });
});

/** Another process that creates a run, lives on for a moment and ends without releasing it. */
async function createInChild(id: string, target: string, linger = 0): Promise<number> {
  const url = (path: string) => JSON.stringify(new URL(`../../../src/${path}`, import.meta.url).href);
  const script = `
    const { SqliteJournal } = await import(${url("run/sqlite-journal.ts")});
    const { systemClock } = await import(${url("core/clock.ts")});
    const held = { ...systemClock, now: () => new Date("2026-01-01T00:00:00Z") };
    try {
      const journal = SqliteJournal.open(${JSON.stringify(folder)}, held);
      await journal.create(${JSON.stringify(id)}, ${JSON.stringify(runRequest({ targets: [target] }))});
      await new Promise((resolve) => setTimeout(resolve, ${linger}));
      process.exit(0);
    } catch (error) {
      process.exit(error.exitCode ?? 99);
    }`;
  const child = spawn(process.execPath, ["--input-type=module", "--eval", script], {
    cwd: fileURLToPath(new URL("../../..", import.meta.url)),
    stdio: "ignore",
  });
  const [code] = await once(child, "exit");
  return Number(code);
}
