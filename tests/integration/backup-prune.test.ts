import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, mkdtemp, readFile, rm, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import { readCatalog } from "../../src/archive/catalog.ts";
import { writeDrillObject } from "../../src/archive/drill-objects.ts";
import { drillPrefix } from "../../src/archive/drill-record.ts";
import { systemClock } from "../../src/core/clock.ts";
import { SqliteJournal } from "../../src/run/sqlite-journal.ts";
import { FileStore } from "../../src/storage/file-store.ts";
import { perform, RecordingReport, type TestContext, testContext } from "../support/context.ts";
import { storeBackup } from "../support/stored-backups.ts";
import { filesIn, operation } from "./backup-setting.ts";

const prune = operation("backup.prune");
const hold = operation("backup.hold");
const release = operation("backup.release");

const folders: string[] = [];
afterEach(async () => {
  for (const folder of folders.splice(0)) await rm(folder, { recursive: true, force: true });
});

const day = 86_400_000;
const ago = (ms: number) => new Date(Date.now() - ms).toISOString();

async function emptyStore(retention: object | null = { last: 1 }) {
  const directory = await mkdtemp(join(tmpdir(), "ops-keep-"));
  folders.push(directory);
  const place = join(directory, "store");
  const settings = {
    databases: { main: { url: "postgresql://nobody@127.0.0.1:1/none" } },
    stores: { local: { url: `file:${place}`, ...(retention === null ? {} : { retention }) } },
  };
  return {
    directory,
    place,
    settings,
    store: new FileStore(place),
    context: testContext(settings, { directory }),
  };
}

async function listed(store: FileStore): Promise<string[]> {
  const entries = await readCatalog(store, []);
  expect(entries.filter((each) => each.status === "broken")).toEqual([]);
  return entries.map((each) => each.id);
}

async function files(place: string): Promise<string[]> {
  return [...(await filesIn(place)).keys()].map((file) => file.slice(place.length + 1)).sort();
}

async function* some(text: string): AsyncGenerator<Uint8Array> {
  yield Buffer.from(text);
}

describe("backup.prune", () => {
  it("removes what no rule keeps, shows each backup with why, and leaves nothing of it", async () => {
    const { store, place, context } = await emptyStore({ last: 2 });
    const old = await storeBackup(store, { at: ago(3 * day), bytes: 1000 });
    const middle = await storeBackup(store, { at: ago(2 * day) });
    const newest = await storeBackup(store, { at: ago(day) });

    const { changes, before, output } = await perform(prune, context, {});

    expect(changes).toEqual([
      { target: "store:local", action: "delete", summary: `remove ${old} (1000 B): no rule keeps it` },
    ]);
    expect(prune.notes?.(before, prune.input.parse({}))).toEqual([
      `= keep ${newest}: newest whole one, last`,
      `= keep ${middle}: last`,
    ]);
    expect(output).toMatchObject({
      store: "local",
      removed: [{ id: old, bytes: 1000, why: "no rule keeps it" }],
      kept: [{ id: newest }, { id: middle }],
      freedBytes: 1000,
    });
    expect(await listed(store)).toEqual([newest, middle]);
    expect((await files(place)).filter((file) => file.startsWith(old))).toEqual([]);
  });

  it("keeps the one that restored beside a newer one whose drill failed", async () => {
    const { store, context } = await emptyStore({ last: 1 });
    const old = await storeBackup(store, { at: ago(3 * day) });
    const good = await storeBackup(store, { at: ago(2 * day) });
    const newest = await storeBackup(store, { at: ago(day) });
    const verdict = (backup: string, verdict: string, startedAt: string) =>
      writeDrillObject(store, drillPrefix, {
        subject: backup,
        startedAt,
        content: { backup, verdict, startedAt },
      });
    await verdict(good, "fail", "2026-01-01T00:00:00Z");
    await verdict(good, "pass", "2026-01-02T00:00:00Z");
    await verdict(newest, "fail", "2026-01-02T00:00:00Z");

    expect((await perform(prune, context, {})).output).toMatchObject({
      removed: [{ id: old }],
      kept: [{ id: newest }, { id: good, reasons: ["newest one whose drill did not fail"] }],
    });
  });

  it("keeps everything where the store has no retention", async () => {
    const { store, context } = await emptyStore(null);
    for (const days of [1, 2, 300]) await storeBackup(store, { at: ago(days * day) });

    const { changes, output } = await perform(prune, context, {});

    expect(changes).toEqual([]);
    expect(output).toMatchObject({
      removed: [],
      kept: [{}, {}, { reasons: ["the store has no retention"] }],
    });
  });

  it("touches no other environment and, when one is named, no other database", async () => {
    const { store, context } = await emptyStore({ last: 0 });
    const mine = await Promise.all([3, 2].map((days) => storeBackup(store, { at: ago(days * day) })));
    const other = await storeBackup(store, { at: ago(9 * day), database: "other" });
    await storeBackup(store, { at: ago(8 * day), database: "other" });
    const staging = await storeBackup(store, { at: ago(9 * day), environment: "staging" });

    const { output } = await perform(prune, context, { database: "main" });

    expect(output).toMatchObject({ removed: [{ id: mine[0] }], others: 3 });
    expect(await listed(store)).toEqual(expect.arrayContaining([other, staging]));
    expect((await perform(prune, context, {})).output).toMatchObject({ removed: [{ id: other }], others: 1 });
  });

  it("refuses, having touched nothing, where a backup is from the future; and says how to go on", async () => {
    const { store, place, context } = await emptyStore();
    for (const days of [-1, 1, 2]) await storeBackup(store, { at: ago(days * day) });
    const before = await files(place);

    await expect(perform(prune, context, {})).rejects.toMatchObject({
      code: "E_CLOCK",
      hint: expect.stringContaining("--ignore-future"),
    });

    expect(await files(place)).toEqual(before);
    expect((await perform(prune, context, { "ignore-future": true })).output).toMatchObject({
      removed: [{}],
      kept: [{ reasons: ["from the future"] }, { reasons: ["newest whole one", "last"] }],
    });
  });

  it("removes a broken backup only when asked to, and only behind a whole one", async () => {
    const { store, place, context } = await emptyStore({ last: 5 });
    const broken = await storeBackup(store, { at: ago(3 * day) });
    const whole = await storeBackup(store, { at: ago(2 * day) });
    const newer = await storeBackup(store, { at: ago(day) });
    await writeFile(join(place, broken, "manifest.json"), "{");
    await rm(join(place, newer, "dump.zst.age"));

    expect((await perform(prune, context, {})).output).toMatchObject({ removed: [] });
    expect((await perform(prune, context, { broken: true })).output).toMatchObject({
      removed: [{ id: broken, bytes: null }],
      kept: [{ id: newer, reasons: ["broken, but no newer one is whole"] }, { id: whole }],
    });
  });

  it("removes on a resume nothing that meanwhile has become the last good one", async () => {
    const { store, place, context } = await emptyStore();
    const old = await storeBackup(store, { at: ago(2 * day) });
    const newest = await storeBackup(store, { at: ago(day) });
    const input = prune.input.parse({});
    const before = await prune.observe(context, input);
    await rm(join(place, newest, "dump.zst.age"));

    const output = await prune.apply(context, input, before, new RecordingReport());

    expect(output).toMatchObject({ removed: [], kept: [{ id: newest }, { id: old }] });
  });
});

describe("what backup.prune takes for left over", () => {
  it("is what has no manifest and showed no sign of life for a day", async () => {
    const { store, place, context } = await emptyStore();
    const dead = `${compact(ago(2 * day))}-main-dead`;
    const young = `${compact(ago(3_600_000))}-main-yyyy`;
    for (const id of [dead, young]) await store.put(`${id}/dump.zst.age`, some("half of a backup"));
    await store.put("wal/000000010000000000000001", some("none of ours"));

    const { changes, output } = await perform(prune, context, {});

    expect(changes).toMatchObject([{ summary: `clear ${dead}: 1 object without a manifest (16 B)` }]);
    expect(output).toMatchObject({
      leftovers: [{ id: dead, objects: 1, bytes: 16 }],
      busy: [{ id: young, why: "a backup may still be writing it" }],
      freedBytes: 16,
    });
    expect(await files(place)).toEqual([`${young}/dump.zst.age`, "wal/000000010000000000000001"].sort());
  });

  it("is never what a writer on another machine began lately, however old the backup is", async () => {
    const { store, place, context } = await emptyStore();
    const long = `${compact(ago(2 * day))}-main-slow`;
    await store.put(`${long}/dump.zst.age`, some("a part"));
    await writeFile(join(place, long, "data-2.zst.age.partial"), "under way");

    expect((await perform(prune, context, {})).output).toMatchObject({ leftovers: [], busy: [{ id: long }] });
    expect((await perform(prune, context, { "leftovers-after": "0s" })).output).toMatchObject({
      leftovers: [{ id: long, objects: 1, unfinished: 1 }],
    });
    expect(await files(place)).toEqual([]);
  });

  it("is also a write that never ended beside a whole backup, which stays", async () => {
    const { store, place, context } = await emptyStore();
    const id = await storeBackup(store, { at: ago(2 * day) });
    const partial = join(place, id, "hold.json~1f2e3d4c.partial");
    await writeFile(partial, "half");
    await utimes(partial, new Date(0), new Date(0));

    await perform(prune, context, { "leftovers-after": "0s" });

    expect(await files(place)).toEqual([`${id}/dump.zst.age`, `${id}/manifest.json`]);
    expect(await listed(store)).toEqual([id]);
  });

  it("is also the half of a drill's record", async () => {
    const { store, place, context } = await emptyStore();
    const id = await storeBackup(store, { at: ago(2 * day) });
    await mkdir(join(place, "drills"));
    const record = `drills/${id}-20261121T030000Z-0a1b.json`;
    await writeFile(join(place, record), "{}");
    await writeFile(join(place, `${record.replace("0a1b", "2c3d")}~1f2e3d4c.partial`), "half");

    const { output } = await perform(prune, context, { "leftovers-after": "0s" });

    expect(output).toMatchObject({ leftovers: [{ id, objects: 0, unfinished: 1 }] });
    expect(await files(place)).toEqual([`${id}/dump.zst.age`, `${id}/manifest.json`, record]);
  });

  it("is not what a living run of this machine works with, however long it takes", async () => {
    const { store, directory, context } = await emptyStore();
    const being = `${compact(ago(9 * day))}-main-made`;
    await store.put(`${being}/dump.zst.age`, some("half of a backup"));
    const restored = await storeBackup(store, { at: ago(3 * day) });
    await storeBackup(store, { at: ago(day) });
    const runs = await Promise.all([
      working(context, "backup", being),
      working(context, "restore", restored),
    ]);

    expect((await perform(prune, context, { "leftovers-after": "0s" })).output).toMatchObject({
      removed: [],
      kept: [{}, { id: restored, reasons: [`run ${runs[1]?.id} works with it`] }],
      busy: [{ id: being, why: `run ${runs[0]?.id} works with it` }],
    });
    for (const run of runs) await run.end();
    expect((await perform(prune, context, { "leftovers-after": "0s" })).output).toMatchObject({
      removed: [{ id: restored }],
      leftovers: [{ id: being }],
    });
    expect(directory).not.toBe("");
  });
});

describe("backup.hold", () => {
  it("keeps a backup from every prune until it is released, with who and why", async () => {
    const { store, place, context } = await emptyStore({ last: 0 });
    const old = await storeBackup(store, { at: ago(9 * day) });
    await storeBackup(store, { at: ago(day) });

    const held = await perform(hold, context, { backup: old, reason: "case 4711" });

    expect(held.changes).toMatchObject([{ target: "store:local", summary: `hold ${old}: case 4711` }]);
    expect(held.output).toMatchObject({ held: true, by: "test@localhost", reason: "case 4711" });
    expect((await perform(hold, context, { backup: old })).changes).toEqual([]);
    expect((await perform(prune, context, {})).output).toMatchObject({
      removed: [],
      kept: [
        {},
        { id: old, reasons: [expect.stringMatching(/^legal hold by test@localhost since .*: case 4711$/)] },
      ],
    });
    const released = await perform(release, context, { backup: old });
    expect(released.output).toMatchObject({ held: false, was: expect.stringContaining("case 4711") });
    expect(await released.undo()).toEqual({ undone: true });
    expect((await perform(prune, context, {})).output).toMatchObject({ removed: [] });
    await perform(release, context, { backup: old });
    expect((await perform(prune, context, {})).output).toMatchObject({ removed: [{ id: old }] });
    expect((await files(place)).filter((file) => file.startsWith(old))).toEqual([]);
  });

  it("is taken back by its undo, which leaves an earlier hold alone", async () => {
    const { store, place, context } = await emptyStore();
    const id = await storeBackup(store, { at: ago(day) });
    const first = await perform(hold, context, { backup: id });
    const second = await perform(hold, context, { backup: id });

    expect(await second.undo()).toMatchObject({ undone: "kept" });
    expect(await files(place)).toContain(`${id}/hold.json`);
    expect(await first.undo()).toEqual({ undone: true });
    expect(await files(place)).not.toContain(`${id}/hold.json`);
  });

  it("refuses an id that is not in the store", async () => {
    const { context } = await emptyStore();

    await expect(perform(hold, context, { backup: "20260101T000000Z-main-none" })).rejects.toMatchObject({
      code: "E_BACKUP_MISSING",
      exitCode: 2,
    });
  });

  it("that cannot be read holds as well, until it is released", async () => {
    const { store, place, context } = await emptyStore({ last: 0 });
    const old = await storeBackup(store, { at: ago(9 * day) });
    await storeBackup(store, { at: ago(day) });
    await writeFile(join(place, old, "hold.json"), "{}");

    expect((await perform(prune, context, {})).output).toMatchObject({ removed: [] });
    await perform(release, context, { backup: old });
    expect((await perform(prune, context, {})).output).toMatchObject({ removed: [{ id: old }] });
  });

  it("and a prune at the same moment: the hold stands and the backup too, or neither", async () => {
    const outcomes = new Set<string>();
    for (let round = 0; round < 40; round += 1) {
      const { store, context } = await emptyStore({ last: 0 });
      const old = await storeBackup(store, { at: ago(9 * day) });
      await storeBackup(store, { at: ago(day) });
      const input = prune.input.parse({});
      const before = await prune.observe(context, input);
      const [, held] = await Promise.allSettled([
        prune.apply(context, input, before, new RecordingReport()),
        // At another moment of the prune in each round.
        systemClock
          .sleep(round / 4)
          .then(() =>
            hold.apply(
              context,
              hold.input.parse({ backup: old }),
              { hold: null, store: "local" },
              new RecordingReport(),
            ),
          ),
      ]);
      const there = (await listed(store)).includes(old);
      expect(there).toBe(held.status === "fulfilled");
      if (held.status === "rejected") expect(held.reason).toMatchObject({ code: "E_HOLD" });
      expect(await files(join(store.location.slice("file:".length)))).toHaveLength(there ? 5 : 2);
      outcomes.add(held.status);
    }
    expect(outcomes.size).toBeGreaterThan(0);
  });
});

describe("backup.prune killed with SIGKILL", () => {
  it.each(["before", "after"])(
    "%s any change lists only whole backups, and the next one finishes",
    async (when) => {
      for (let at = 1; ; at += 1) {
        const { store, place, directory, settings, context } = await emptyStore();
        // So young that nothing but the mark of the removal tells its leftovers from a backup that is being made.
        await storeBackup(store, { at: ago(2 * 3_600_000) });
        const newest = await storeBackup(store, { at: ago(3_600_000) });
        const dead = `${compact(ago(2 * day))}-main-dead`;
        await store.put(`${dead}/dump.zst.age`, some("half of a backup"));
        const input = prune.input.parse({});
        const before = await prune.observe(context, input);

        const { code, signal } = await attempt({ settings, directory, input: {}, before }, at, when);

        const left = await listed(store);
        expect(left).toContain(newest);
        const resumes = at % 2 === 0;
        if (resumes) await prune.apply(context, input, before, new RecordingReport());
        else await perform(prune, context, {});
        expect(await files(place), `killed ${when} change ${at}`).toEqual([
          `${newest}/dump.zst.age`,
          `${newest}/manifest.json`,
        ]);
        if (code === 0) {
          expect(at).toBeGreaterThan(5);
          break;
        }
        expect(signal).toBe("SIGKILL");
      }
    },
    120_000,
  );

  it("under another policy next time, withdraws its mark from what stays", async () => {
    const { store, place, directory, settings, context } = await emptyStore();
    const old = await storeBackup(store, { at: ago(2 * day) });
    await storeBackup(store, { at: ago(day) });
    const before = await prune.observe(context, prune.input.parse({}));
    await attempt({ settings, directory, input: {}, before }, 1, "after");
    expect(JSON.parse(await readFile(join(place, old, "hold.json"), "utf8"))).toMatchObject({
      kind: "removal",
    });
    await expect(perform(hold, context, { backup: old })).rejects.toMatchObject({ code: "E_HOLD" });

    const wider = { ...settings, stores: { local: { url: `file:${place}`, retention: { last: 2 } } } };
    await perform(prune, testContext(wider, { directory }), {});

    expect(await listed(store)).toContain(old);
    expect((await perform(hold, context, { backup: old })).output).toMatchObject({ held: true });
  });
});

describe("two prunes at once", () => {
  it("remove the same, leave nothing, and neither fails", async () => {
    const { store, place, directory, settings, context } = await emptyStore();
    for (let index = 12; index > 1; index -= 1) await storeBackup(store, { at: ago(index * day) });
    const newest = await storeBackup(store, { at: ago(day) });
    const before = await prune.observe(context, prune.input.parse({}));

    const ended = await Promise.all(
      [1, 2].map(() => attempt({ settings, directory, input: {}, before }, 0, "never")),
    );

    expect(ended.map((each) => each.code)).toEqual([0, 0]);
    expect(await files(place)).toEqual([`${newest}/dump.zst.age`, `${newest}/manifest.json`]);
  });
});

function compact(iso: string): string {
  return iso.replace(/[-:]|\.\d+/g, "");
}

/** A run of this process that has begun to work with a backup. */
async function working(context: TestContext, name: string, backup: string) {
  const journal = SqliteJournal.open(context.stateDirectory, systemClock);
  const id = `20260101-000000-${name.slice(0, 4)}`;
  const lease = await journal.create(id, {
    name,
    kind: "operation",
    text: "",
    environment: "test",
    inputs: {},
    variables: {},
    unselected: [],
    planDigest: "",
    plannedChanges: {},
    targets: [],
    places: {},
    actor: "test",
    version: "0",
  });
  await journal.append(lease, {
    type: "step.started",
    step: name,
    data: { attempt: 1, input: {}, targets: [] },
  });
  await journal.append(lease, {
    type: "step.observed",
    step: name,
    data: { before: { id: backup, scratch: "x" }, changes: [] },
  });
  return {
    id,
    end: async () => {
      await journal.release(lease);
      await journal.close();
    },
  };
}

async function attempt(work: object, at: number, when: string) {
  const script = new URL("./backup-prune-attempt.ts", import.meta.url).pathname;
  const child = spawn(process.execPath, [script], {
    stdio: ["pipe", "inherit", "inherit"],
    env: { ...process.env, KILL_AT: String(at), KILL_WHEN: when },
  });
  child.stdin.end(JSON.stringify(work));
  const [code, signal] = await once(child, "exit");
  return { code, signal };
}
