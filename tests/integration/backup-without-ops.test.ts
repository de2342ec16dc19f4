import { execFileSync } from "node:child_process";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { perform, testContext } from "../support/context.ts";
import { BackupSetting, operation, sampleSchema } from "./backup-setting.ts";

let setting: BackupSetting;
beforeAll(async () => {
  setting = await BackupSetting.start();
});
afterAll(() => setting.stop());

it.each([
  ["one archive", {}, false],
  ["an archive for each table, with other keys by now", { jobs: 2, "split-from": "1B" }, true],
])(
  "docs/restore-without-ops.md, followed word for word, restores a backup of %s",
  async (_, options, rotated) => {
    const { database, settings, directory } = await setting.prepare(sampleSchema);
    await perform(operation("backup.create"), testContext(settings), options);
    if (rotated) await perform(operation("backup.keys.rotate"), testContext(settings), { all: true });
    const copy = `${database}_by_hand`;
    const key = join(setting.folder, "key.txt");
    await writeFile(key, `# public key: ${setting.recipient}\n${setting.identity}\n`, { mode: 0o600 });
    const guide = await readFile(new URL("../../docs/restore-without-ops.md", import.meta.url), "utf8");
    const commands = [...guide.matchAll(/^```sh\n(.*?)^```/gms)].map((match) => match[1] ?? "");

    const output = execFileSync("bash", ["-e", "-c", commands.join("\n")], {
      encoding: "utf8",
      env: {
        PATH: process.env.PATH,
        STORE: directory,
        KEY: key,
        NEW: copy,
        PGHOST: "127.0.0.1",
        PGPORT: String(setting.cluster.port),
        PGUSER: "postgres",
      },
    });

    expect(commands).toHaveLength(4);
    expect(output).toMatch(/^dump\.zst\..*age: OK$/m);
    expect(setting.dump(copy)).toBe(setting.dump(database));
  },
);
