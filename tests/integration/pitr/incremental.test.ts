import { access, readdir, rename } from "node:fs/promises";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { stopCluster } from "../../../src/postgres/cluster.ts";
import { perform } from "../../support/context.ts";
import { ops, startOps } from "../../support/ops.ts";
import { postgres17 } from "../../support/postgres17.ts";
import { until } from "../wal/setting.ts";
import { operation, PitrSetting, queryPort, type Restored } from "./setting.ts";

let setting: PitrSetting;
const bases: string[] = [];

async function write(n: number): Promise<void> {
  await setting.wal.query(
    `INSERT INTO ledger SELECT i, repeat('x', 500) FROM generate_series(${n}, ${n + 9}) i`,
  );
}

async function archived(): Promise<void> {
  const [row] = await setting.wal.query<{ name: string }>("SELECT pg_walfile_name(pg_switch_wal()) AS name");
  await setting.wal.untilArchived(row?.name ?? "");
}

beforeAll(async () => {
  postgres17();
  setting = await PitrSetting.start({ summarize_wal: "on" }, 17);
  const folder = await setting.tablespaceFolder("apart=here");
  await setting.wal.query(`CREATE TABLESPACE apart LOCATION '${folder}'`);
  await setting.wal.query("CREATE TABLE ledger (n int PRIMARY KEY, text text) TABLESPACE apart");
  await setting.wal.query(
    "CREATE TABLE large AS SELECT i, repeat('y', 900) AS text FROM generate_series(1, 20000) i",
  );
  // Hint bits would change every page of it later on.
  await setting.wal.query("VACUUM (FREEZE) large");
  await write(1);
  bases.push(await setting.base());
  await write(11);
  bases.push(await setting.base({ incremental: true }));
  await setting.wal.query("UPDATE large SET text = 'changed' WHERE i = 7");
  await write(21);
  bases.push(await setting.base({ "full-every": "7d" }));
  await write(31);
  await archived();
}, 120_000);
afterAll(() => setting?.stop());

async function countOf(restored: Restored): Promise<number | undefined> {
  const found = await queryPort<{ n: number }>(restored.port, "SELECT count(*)::int AS n FROM ledger");
  await stopCluster(restored.directory);
  return found[0]?.n;
}

describe("incremental base backups", () => {
  it("hold only what changed, and name their chain", async () => {
    const { output } = await perform(operation("pitr.base.list"), setting.context(), {});
    const [second, first, full] = (output as { bases: { plainBytes: number }[] }).bases;

    expect(full).toMatchObject({ id: bases[0], parent: null, chain: [bases[0]] });
    expect(first).toMatchObject({ id: bases[1], parent: bases[0], chain: bases.slice(0, 2) });
    expect(second).toMatchObject({ id: bases[2], parent: bases[1], chain: bases, status: "complete" });
    expect(second?.plainBytes).toBeLessThan((full?.plainBytes ?? 0) / 4);
    expect(operation("pitr.base.list").render?.(output)).toMatch(/3 in the chain/);
  });

  it("are restored with everything that they are based on, tablespaces included", async () => {
    const restored = await setting.restore({ latest: true });

    expect(restored.output).toMatchObject({ base: bases[2], state: "promoted" });
    const { port, directory } = restored.output as Restored;
    expect(
      await queryPort(port, "SELECT count(*)::int AS n, sum(length(text))::int AS size FROM large"),
    ).toEqual([{ n: 20_000, size: 19_999 * 900 + 7 }]);
    expect(await countOf(restored.output as Restored)).toBe(40);
    expect(await readdir(setting.wal.folder)).not.toContain(`${directory.split("/").at(-1)}.chain`);
  }, 120_000);

  it("can be passed over for an earlier one", async () => {
    const { output } = await setting.restore({ latest: true, base: bases[1] });

    expect(output).toMatchObject({ base: bases[1] });
    expect(await countOf(output as Restored)).toBe(40);
  }, 120_000);

  it("say why there is a full one where incremental ones are asked for", async () => {
    const create = operation("pitr.base.create");
    const input = create.input.parse({ "full-every": "1s" });
    const before = await create.observe(setting.context(), input);

    expect(before).toMatchObject({ parent: null });
    expect(create.notes?.(before, input)).toEqual([
      expect.stringMatching(/^it is a full one: the last full one/),
    ]);
  });

  it("are refused where there is nothing to be based on, by name", async () => {
    const observed = (input: object, settings?: object) => {
      const create = operation("pitr.base.create");
      return create.observe(setting.context(settings), create.input.parse(input));
    };
    const refusal = { code: "E_INCREMENTAL", exitCode: 2 };

    await expect(observed({ parent: "nothing" })).rejects.toMatchObject(refusal);
    await expect(
      observed({ incremental: true }, setting.settingsOf(["store", "second"])),
    ).rejects.toMatchObject({ ...refusal, message: expect.stringMatching(/no base backup/) });
  });

  it("are passed over, aloud, where a link of their chain is missing", async () => {
    const object = setting.wal.path(`store/pitr/main/base/${bases[1]}/base.tar.zst.age`);
    await rename(object, `${object}.away`);
    try {
      const restore = operation("pitr.restore");
      const input = restore.input.parse({ latest: true, "target-dir": setting.newFolder() });
      const before = await restore.observe(setting.context(), input);

      expect(before).toMatchObject({ base: bases[0], passedOver: [bases[2], bases[1]] });
      await expect(restore.observe(setting.context(), { ...input, base: bases[2] })).rejects.toMatchObject({
        code: "E_BACKUP_CORRUPT",
        exitCode: 2,
      });
    } finally {
      await rename(`${object}.away`, object);
    }
  });
});

describe("a restore of a chain that is killed with SIGKILL", () => {
  const exists = (path: string) =>
    access(path).then(
      () => true,
      () => false,
    );
  const moments = [
    { when: "while a link is unpacked", reached: (to: string) => exists(`${to}.chain/${bases[1]}`) },
    { when: "while it is combined", reached: (to: string) => exists(`${to}/base`) },
    {
      when: "when it is combined",
      reached: async (to: string) =>
        (await exists(`${to}/global`)) && !(await exists(`${to}.chain/${bases[0]}`)),
    },
  ];

  it.each(moments)(
    "$when: goes on, or leaves nothing",
    async ({ reached }) => {
      const options = { config: setting.wal.config, cwd: setting.wal.folder };
      for (const goOn of ["rollback", "resume"]) {
        const directory = setting.newFolder();
        const args = ["pitr", "restore", "--latest", "--target-dir", directory, "--start", "--yes"];
        const killed = startOps(args, options);
        await until(() => reached(directory), "the moment");
        killed.child.kill("SIGKILL");
        await killed.result;

        const ended = await ops(["runs", goOn, "last", "--yes"], options);

        const left = (await readdir(setting.wal.folder)).filter((each) =>
          each.startsWith(directory.slice(directory.lastIndexOf("/") + 1)),
        );
        if (goOn === "rollback") {
          expect(left).toEqual([]);
          continue;
        }
        expect(ended.exitCode, ended.stderr).toBe(0);
        expect(left.some((each) => each.endsWith(".chain"))).toBe(false);
        const port = Number(/127\.0\.0\.1:(\d+)/.exec(ended.stdout)?.[1]);
        expect(await countOf({ port, directory } as Restored)).toBe(40);
      }
    },
    60_000,
  );
});
