import { readFile, rm } from "node:fs/promises";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { parseWalFile } from "../../../src/wal-archive/segment.ts";
import { WalSetting } from "./setting.ts";

/** From before the command has read its configuration to after it has ended, in milliseconds. */
const moments = Array.from({ length: 20 }, (_, index) => 30 + index * 25);

describe("killed at twenty moments", () => {
  let setting: WalSetting;
  let waiting: string[];

  beforeAll(async () => {
    setting = await WalSetting.start({ archive_command: "/bin/false", max_wal_size: "4GB" });
    await setting.query("CREATE TABLE filler (x text)");
    waiting = [];
  });
  afterAll(() => setting.stop());

  async function killedAfter(args: readonly string[], delay: number): Promise<void> {
    const child = await setting.startAsServer(args);
    const closed = new Promise((resolve) => child.once("close", resolve));
    await new Promise((resolve) => setTimeout(resolve, delay));
    child.kill("SIGKILL");
    await closed;
  }

  it("push leaves only whole segments, and the next call finishes", async () => {
    for (const delay of moments) {
      await setting.query(
        "INSERT INTO filler SELECT repeat(md5(random()::text), 4) FROM generate_series(1, 60000)",
      );
      const names = await setting.fillSegments(2);
      waiting.push(...names);
      await killedAfter(["wal", "push", `pg_wal/${names[0]}`, "--database", "main"], delay);
      for (const name of names) {
        if (!(await setting.isInStore(name))) continue;
        expect((await setting.archived(name)).equals(await setting.read(name))).toBe(true);
      }
    }
    for (const name of waiting) {
      const result = await setting.asServer(["wal", "push", `pg_wal/${name}`, "--database", "main"]);
      expect(result).toMatchObject({ exitCode: 0, stderr: "" });
      expect((await setting.archived(name)).equals(await setting.read(name))).toBe(true);
    }
  });

  it("fetch and what it reads ahead leave only whole segments", async () => {
    const path = setting.inPgWal("RECOVERYXLOG");
    const segments = waiting.filter((each) => parseWalFile(each)?.kind === "segment");
    for (const [index, delay] of moments.entries()) {
      const name = segments[index] ?? "";
      const args = ["wal", "fetch", name, "pg_wal/RECOVERYXLOG", "--database", "main"];
      const ahead = ["wal", "prefetch", ...args.slice(2)];
      await Promise.all([killedAfter(args, delay), killedAfter(ahead, delay)]);
      expect((await setting.asServer(args)).exitCode).toBe(0);
      expect((await readFile(path)).equals(await setting.archived(name))).toBe(true);
      await rm(path);
    }
  });
});
