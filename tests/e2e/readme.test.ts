import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdtemp, readdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { childEnvironment } from "../../src/process/run-program.ts";
import { takeDown } from "../../src/sandbox/down.ts";
import { sandboxLayout } from "../../src/sandbox/layout.ts";
import { markedProcesses } from "../../src/sandbox/process-table.ts";
import { projectRoot } from "../support/ops.ts";

describe("the README", () => {
  let folder: string;

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "ops-rm-"));
    // As in a clone, where the commands are typed at the root of the project.
    await symlink(join(projectRoot, "bin"), join(folder, "bin"));
  });

  afterEach(async () => {
    await takeDown(sandboxLayout(join(folder, ".ops", "sandbox")));
    await rm(folder, { recursive: true, force: true });
  });

  it("has commands and a first runbook that work as they stand there", async () => {
    const text = await readFile(join(projectRoot, "README.md"), "utf8");
    const runbook = blocks(text, "yaml first.yaml").join("");
    await writeFile(join(folder, "first.yaml"), runbook);

    const { exitCode, output } = await shell(blocks(text, "sh run").join(""), folder);

    expect(output).toContain("first.yaml: first, 3 steps");
    expect(output).toContain("done first on default");
    expect(output).toContain("rolled back first on default");
    expect(exitCode).toBe(0);
    expect(runbook.trim().split("\n").length).toBeLessThanOrEqual(10);
    expect(await markedProcesses(sandboxLayout(join(folder, ".ops", "sandbox")))).toEqual([]);
  });

  it.each(["README.md", "docs/README.md"])("%s links only to what is there", async (file) => {
    const text = await readFile(join(projectRoot, file), "utf8");
    const links = [...text.matchAll(/\]\(([^)]+)\)/g)].map(([, link = ""]) => link);

    const broken = links.filter(
      (link) => !link.startsWith("http") && !existsSync(join(projectRoot, dirname(file), link)),
    );

    expect(links).not.toEqual([]);
    expect(broken).toEqual([]);
  });

  it("is reached from an index that names every guide", async () => {
    const index = await readFile(join(projectRoot, "docs", "README.md"), "utf8");
    const guides = (await readdir(join(projectRoot, "docs"))).filter((each) => each.endsWith(".md"));

    expect(guides.filter((each) => each !== "README.md" && !index.includes(`(${each})`))).toEqual([]);
  });
});

/** The fenced blocks whose opening line says this. */
function blocks(text: string, info: string): string[] {
  return [...text.matchAll(/^```(.*)\n([\s\S]*?)^```$/gm)].flatMap(([, opening, body = ""]) =>
    opening === info ? [body] : [],
  );
}

/** Stops at the first command that fails. */
function shell(script: string, cwd: string): Promise<{ exitCode: number | null; output: string }> {
  const child = spawn("sh", ["-e", "-x", "-c", script], {
    cwd,
    env: childEnvironment({ PATH: `${dirname(process.execPath)}:${process.env.PATH}` }),
    stdio: ["ignore", "pipe", "pipe"],
    timeout: 60_000,
  });
  return new Promise((resolve, reject) => {
    let output = "";
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding("utf8").on("data", (chunk: string) => {
        output += chunk;
      });
    }
    child.once("error", reject);
    child.once("close", (exitCode) => resolve({ exitCode, output }));
  });
}
