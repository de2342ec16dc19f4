import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import pg from "pg";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { withThrowAwayCluster } from "../../../src/postgres/throw-away-cluster.ts";

let parent: string;
beforeEach(async () => {
  parent = await mkdtemp(join(tmpdir(), "ops-away-"));
});
afterEach(() => rm(parent, { recursive: true, force: true }));

describe("a throw-away server", () => {
  it("lets nobody in without the password, which is in no file and no argument list", async () => {
    await withThrowAwayCluster({ parent }, async (cluster) => {
      const { password } = new URL(cluster.url());
      const connecting = async (url: string) => {
        const client = new pg.Client(url);
        client.on("error", () => undefined);
        try {
          await client.connect();
          return "connected";
        } catch (error) {
          return (error as Error).message;
        } finally {
          await client.end().catch(() => undefined);
        }
      };

      expect(password.length).toBeGreaterThan(24);
      expect(await connecting(cluster.url())).toBe("connected");
      expect(await connecting(cluster.url().replace(`:${password}`, ""))).toContain("password");
      expect(await connecting(cluster.url().replace(password, "guess"))).toContain(
        "password authentication failed",
      );
      expect(await filesWith(parent, password)).toEqual([]);
      const commandLine = await readFile(`/proc/${cluster.pid}/cmdline`, "utf8");
      expect(commandLine).not.toContain(password);
    });
  });
});

async function filesWith(folder: string, text: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const files = entries.filter((each) => each.isFile()).map((each) => join(each.parentPath, each.name));
  const found = await Promise.all(files.map(async (file) => (await readFile(file)).includes(text)));
  return files.filter((_, index) => found[index]);
}
