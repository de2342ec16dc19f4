import { spawn } from "node:child_process";
import { cp, mkdir, mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { entryPoints } from "../../bin/build.mjs";
import { projectRoot } from "../support/ops.ts";

/** A checkout of its own whose node_modules is this one's. */
describe("the set-up script", () => {
  let checkout: string;

  beforeEach(async () => {
    checkout = await mkdtemp(join(tmpdir(), "ops-setup-"));
    for (const each of ["bin", "package.json", "package-lock.json", "tsconfig.json", "tsconfig.build.json"]) {
      await cp(join(projectRoot, each), join(checkout, each), { recursive: true });
    }
    for (const entry of entryPoints) {
      await mkdir(join(checkout, dirname(entry)), { recursive: true });
      await writeFile(join(checkout, entry), `export const entry = "${entry}";\n`);
    }
    await mkdir(join(checkout, "node_modules"));
    for (const each of await readdir(join(projectRoot, "node_modules"))) {
      if (each === ".ops-setup") continue;
      await symlink(join(projectRoot, "node_modules", each), join(checkout, "node_modules", each));
    }
  });

  afterEach(async () => {
    await rm(checkout, { recursive: true, force: true });
  });

  function setUp(env: Record<string, string> = {}): Promise<{ exitCode: number | null; said: string }> {
    return new Promise((resolve, reject) => {
      const child = spawn(process.execPath, [join(checkout, "bin", "setup.mjs")], {
        cwd: tmpdir(),
        env: { PATH: process.env.PATH, HOME: process.env.HOME, ...env },
        stdio: ["ignore", "pipe", "pipe"],
      });
      let said = "";
      for (const stream of [child.stdout, child.stderr]) {
        stream.setEncoding("utf8").on("data", (text: string) => {
          said += text;
        });
      }
      child.once("error", reject);
      child.once("close", (exitCode) => resolve({ exitCode, said }));
    });
  }

  const built = () => join(checkout, "dist", "cli", "main.js");

  it("builds dist/, and a second call changes nothing, says nothing and takes under a second", async () => {
    expect(await setUp()).toEqual({ exitCode: 0, said: "setup: building dist/\n" });
    const before = (await stat(built())).mtimeMs;

    const started = performance.now();
    const second = await setUp();
    const took = performance.now() - started;

    expect(second).toEqual({ exitCode: 0, said: "" });
    expect((await stat(built())).mtimeMs).toBe(before);
    expect(took).toBeLessThan(1000);
  });

  it("builds again after a source file was changed, and forgets what is gone", async () => {
    const main = join(checkout, "src", "cli", "main.ts");
    await setUp();
    await writeFile(join(checkout, "src", "cli", "added.ts"), 'export const added = "new here";\n');
    await writeFile(main, 'export { added } from "./added.ts";\n');
    const left = join(checkout, "dist", "cli", "left.js");
    await writeFile(left, "");

    await setUp();

    expect(await readFile(built(), "utf8")).toContain("new here");
    expect(await readdir(dirname(left))).not.toContain("left.js");
  });

  it("keeps the last good build where a new one fails, and shows the compiler's words", async () => {
    await setUp();
    const source = join(checkout, "src", "cli", "main.ts");
    await writeFile(source, `${await readFile(source, "utf8")}\nexport const wrong: number = "text";\n`);

    const { exitCode, said } = await setUp();

    expect(exitCode).toBe(1);
    expect(said).toContain("src/cli/main.ts");
    expect(said).toContain("setup: the build failed");
    expect(await readFile(built(), "utf8")).not.toContain("wrong");
  });

  it("removes what a build that was killed has left", async () => {
    // Above the largest pid that Linux hands out.
    await mkdir(join(checkout, ".ops", "build-4194999", "cli"), { recursive: true });

    await setUp();

    expect(await readdir(join(checkout, ".ops"))).toEqual([]);
  });

  it("runs once where two are started at the same time", async () => {
    const both = await Promise.all([setUp(), setUp()]);

    expect(both.map((each) => each.exitCode)).toEqual([0, 0]);
    expect(both.filter((each) => each.said.includes("building dist/"))).toHaveLength(1);
    expect(await readdir(join(checkout, ".ops"))).toEqual([]);
  });

  it("takes over the lock of a set-up that was killed", async () => {
    await mkdir(join(checkout, ".ops"));
    // Above the largest pid that Linux hands out.
    await writeFile(join(checkout, ".ops", "setup.lock"), "4194999");

    expect((await setUp()).exitCode).toBe(0);
  });

  it("says what to install and exits 2 where packages are missing and there is no apt", async () => {
    const programs = join(checkout, "programs");
    await mkdir(programs);

    const { exitCode, said } = await setUp({ PATH: programs });

    expect(exitCode).toBe(2);
    expect(said).toMatch(/^setup: missing: .*age, zstd.*, and there is no apt-get on this machine\n/);
    expect(said).toContain("install them with the system's own package manager");
  });
});
