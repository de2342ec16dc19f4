import { readdir } from "node:fs/promises";
import { afterAll, beforeAll, expect, it } from "vitest";
import { perform } from "../../support/context.ts";
import { ops, startOps } from "../../support/ops.ts";
import { until } from "../wal/setting.ts";
import { operation, PitrSetting } from "./setting.ts";

let setting: PitrSetting;

beforeAll(async () => {
  setting = await PitrSetting.start();
  // Text that hardly compresses, so that there is time to kill.
  await setting.wal.query(
    "CREATE TABLE noise AS SELECT n, md5(n::text || random()) AS a, md5(random()::text) AS b FROM generate_series(1, 400000) n",
  );
});
afterAll(() => setting.stop());

const stored = async (store = "store") =>
  (await readdir(setting.wal.path(store, "pitr/main"), { recursive: true })).filter((each) =>
    /^base\/[^/]+\/./.test(each),
  );

it("a base backup killed with SIGKILL is none; a roll-back leaves nothing of it, a resumed run makes it whole", async () => {
  const options = { config: setting.wal.config, cwd: setting.wal.folder };
  for (const goOn of ["rollback", "resume"]) {
    const killed = startOps(["pitr", "base", "create", "--yes"], options);
    await until(async () => (await stored()).length > 0, "the first object");
    killed.child.kill("SIGKILL");
    await killed.result;

    expect(await stored()).not.toContainEqual(expect.stringMatching(/manifest\.json$/));
    const listed = await perform(operation("pitr.base.list"), setting.context(), {});
    expect(listed.output).toMatchObject({ bases: [] });

    const ended = await ops(["runs", goOn, "last", "--yes"], options);
    expect(ended.stderr + ended.stdout).toMatch(goOn === "resume" ? /Restorable from/ : /is removed/);
    if (goOn === "rollback") expect(await stored()).toEqual([]);
  }
  const listed = await perform(operation("pitr.base.list"), setting.context(), {});
  expect(listed.output).toMatchObject({ bases: [{ status: "complete" }] });
}, 60_000);

it("a store without the WAL of a base backup fails the run by name; the backup is whole in both", async () => {
  const settings = setting.settingsOf(["store", "second"]);
  const create = operation("pitr.base.create");
  const { output } = await perform(create, setting.context(settings), { "wal-timeout": "1s" });

  // The other store's may just be on its way.
  const missingWal = expect.arrayContaining([expect.objectContaining({ store: "second" })]);
  expect(output).toMatchObject({ stores: ["store", "second"], missingWal });
  expect(create.failure?.(output)).toMatchObject({ code: "E_WAL_MISSING" });
  const listed = await perform(operation("pitr.base.list"), setting.context(settings), { store: "second" });
  expect(listed.output).toMatchObject({ bases: [{ status: "wal-missing" }] });
});

it("an incremental one of a server older than PostgreSQL 17 is refused, and with --full-every a full one", async () => {
  const create = operation("pitr.base.create");
  const observed = (input: object) => create.observe(setting.context(), create.input.parse(input));

  await expect(observed({ incremental: true })).rejects.toMatchObject({ code: "E_INCREMENTAL", exitCode: 2 });
  expect(await observed({ "full-every": "7d" })).toMatchObject({
    parent: null,
    why: expect.stringMatching(/^PostgreSQL 15/),
  });
});
