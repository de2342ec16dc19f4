import { execFileSync } from "node:child_process";
import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { afterAll, beforeAll, expect, it } from "vitest";
import { perform } from "../../support/context.ts";
import { Expiring } from "./expiring.ts";
import { operation, queryPort, type Restored } from "./setting.ts";

const prune = operation("pitr.prune");
let expiring: Expiring;

beforeAll(async () => {
  expiring = await Expiring.start();
}, 60_000);
afterAll(() => expiring.setting.stop());

/** A copy of the archive as it was made, under another name. */
async function copied(name: string) {
  const { wal } = expiring.setting;
  // With its owner: the restored server's user reads it.
  execFileSync("cp", ["-a", wal.path("store"), wal.path(name)]);
  return {
    settings: expiring.settingsIn(name),
    path: (object: string) => wal.path(name, "pitr/main", object),
  };
}

const segmentOf = (object: string) => object.split("/").at(-1)?.slice(0, 24) ?? "";

it("removes what the window does not need, and the rest restores", async () => {
  const { settings } = await copied("whole");
  const context = expiring.setting.context(settings);
  const [first, second, third] = expiring.bases;

  const { output, changes } = await perform(prune, context, {});

  expect(output).toMatchObject({
    stores: [
      {
        removed: [{ id: first }, { id: second }],
        kept: [{ id: third, reason: "the window begins with it" }],
        points: ["point1", "point2", "point3"],
        locked: 0,
      },
    ],
  });
  expect(changes.map(({ summary }) => summary)).toContainEqual(
    expect.stringMatching(/^remove \d+ files of the WAL of main \(.+\) that no base backup can use$/),
  );
  const left = await expiring.objects("whole");
  expect(
    left.filter((each) => each.startsWith("base/")).every((each) => each.startsWith(`base/${third}/`)),
  ).toBe(true);
  const log = left.filter((each) => each.startsWith("wal/")).map(segmentOf);
  // The checksums of exactly what is left.
  expect(left.filter((each) => each.startsWith("sum/")).map(segmentOf)).toEqual(log);
  const { output: listed } = await perform(operation("pitr.base.list"), context, {});
  expect(listed).toMatchObject({ bases: [{ id: third, status: "complete" }] });
  const [base] = (listed as { bases: { startLsn: string }[] }).bases;
  const [row] = await expiring.setting.wal.query<{ name: string }>(
    `SELECT pg_walfile_name('${base?.startLsn}') AS name`,
  );
  expect(log[0]).toBe(row?.name);

  const { output: restored } = await perform(operation("pitr.restore"), context, {
    latest: true,
    "target-dir": expiring.setting.newFolder(),
    "restore-command": expiring.setting.stockFetch.replaceAll("/store/", "/whole/"),
    start: true,
  });
  const rows = await queryPort<{ n: number }>(
    (restored as Restored).port,
    "SELECT n FROM numbered ORDER BY n",
  );
  expect(rows.map(({ n }) => n)).toEqual([1, 2, 3, 4]);
  expect((await perform(prune, context, {})).changes).toEqual([]);
});

it("plans nothing without a window, and says so", async () => {
  const { settings } = await copied("endless");
  const { pitr, ...main } = settings.databases.main;
  const context = expiring.setting.context({
    ...settings,
    databases: { main: { ...main, pitr: { stores: pitr.stores } } },
  });
  const before = await prune.observe(context, prune.input.parse({}));

  expect(prune.plan(before, {})).toEqual([]);
  expect(prune.notes?.(before, {})[0]).toContain("no window is configured");
});

it("clears what was never finished once it is quiet, and names what may still be written", async () => {
  const { settings, path } = await copied("killed");
  const dead = "20260101T000000Z-main-dead";
  await mkdir(path(`base/${dead}`));
  await writeFile(path(`base/${dead}/base.tar.zst.age`), "half");
  const young = `${new Date().toISOString().replaceAll(/[-:]|\.\d+/g, "")}-main-yung`;
  await mkdir(path(`base/${young}`));
  await writeFile(path(`base/${young}/base.tar.zst.age`), "half");

  const { output } = await perform(prune, expiring.setting.context(settings), {});

  expect(output).toMatchObject({ stores: [{ leftovers: [dead], busy: [{ id: young }] }] });
  const left = await expiring.objects("killed");
  expect(left.some((each) => each.includes(dead))).toBe(false);
  expect(left.some((each) => each.includes(young))).toBe(true);
});

it("leaves a damaged base backup alone until told otherwise, and never lets the window begin with it", async () => {
  const { settings, path } = await copied("damaged");
  const [, second = "", third = ""] = expiring.bases;
  await rm(path(`base/${third}/base.tar.zst.age`));
  const context = expiring.setting.context(settings);

  const { output } = await perform(prune, context, {});
  expect(output).toMatchObject({
    stores: [
      {
        kept: [
          { id: second, reason: "the window begins with it" },
          { id: third, reason: "damaged, so all WAL stays: look at it, or remove it with --broken" },
        ],
      },
    ],
  });
  expect(output).toMatchObject({ stores: [{ walFiles: 0, points: [] }] });
  // Part of it may still be read, and nothing newer can be restored.
  const { output: forced } = await perform(prune, context, { broken: true });
  expect(forced).toMatchObject({
    stores: [
      {
        removed: [],
        kept: [{ id: second }, { id: third, reason: "damaged, so all WAL stays: no newer one is whole" }],
        walFiles: 0,
      },
    ],
  });
});

it("removes a damaged base backup when told so, once a newer one is whole", async () => {
  const { settings, path } = await copied("older-damaged");
  const [first = "", second = "", third = ""] = expiring.bases;
  await rm(path(`base/${second}/base.tar.zst.age`));

  const { output } = await perform(prune, expiring.setting.context(settings), { broken: true });

  expect(output).toMatchObject({
    stores: [{ removed: [{ id: first }, { id: second }], kept: [{ id: third }], locked: 0 }],
  });
  expect(output).not.toMatchObject({ stores: [{ walFiles: 0 }] });
});

it("refuses an archive of another environment, and touches nothing", async () => {
  const { settings, path } = await copied("foreign");
  const cluster = await readFile(path("cluster.json"), "utf8");
  await writeFile(path("cluster.json"), cluster.replace('"default"', '"production"'));
  const before = await expiring.objects("foreign");

  await expect(perform(prune, expiring.setting.context(settings), {})).rejects.toMatchObject({
    code: "E_WAL_FOREIGN",
    exitCode: 2,
    hint: "prune it there: ops pitr prune --env production",
  });
  expect(await expiring.objects("foreign")).toEqual(before);
});

it("refuses a window that is none, at its place", async () => {
  expect(() => expiring.setting.context(expiring.settingsIn("store", "two weeks"))).toThrow(/two weeks/);
});
