import { readdir, rename } from "node:fs/promises";
import { basename } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { perform } from "../../support/context.ts";
import { ChainSetting } from "./chain-setting.ts";
import { operation, type PitrSetting, queryPort, type Restored } from "./setting.ts";

let chain: ChainSetting;
let setting: PitrSetting;
let bases: readonly string[];

beforeAll(async () => {
  chain = await ChainSetting.start();
  setting = chain.pitr;
  bases = chain.bases;
}, 120_000);
afterAll(() => chain?.stop());

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
    expect(await chain.rowsOf(restored.output as Restored)).toBe(40);
    expect(await readdir(setting.wal.folder)).not.toContain(`${basename(directory)}.chain`);
  }, 120_000);

  it("can be passed over for an earlier one", async () => {
    const { output } = await setting.restore({ latest: true, base: bases[1] });

    expect(output).toMatchObject({ base: bases[1] });
    expect(await chain.rowsOf(output as Restored)).toBe(40);
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

  it(
    "go on after a SIGKILL while they are combined",
    () => chain.killRestore("combining", "resume"),
    120_000,
  );
});
