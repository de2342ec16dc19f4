import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { stringify } from "yaml";
import { ops } from "../support/ops.ts";

describe("ops gate check, as a pipeline reads it", () => {
  let folder: string;
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), "ops-formats-"));
    const check = (id: string, script: string, more: object = {}) => ({
      ...{ id, kind: "command", with: { command: ["sh", "-c", script] }, ...more },
    });
    const failing = check("smoke", "echo 'a <b> | c' >&2; exit 1", { remedy: "Look at the log." });
    const checks = [check("health", "echo ok"), failing];
    writeFileSync(join(folder, ".opsrc"), stringify({ gates: { deploy: { checks } } }));
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  const gate = (flags: readonly string[], env: Record<string, string> = {}) =>
    ops(["gate", "check", "deploy", ...flags], { cwd: folder, env });

  test.each([
    [["--junit"], /^<\?xml [\s\S]*<testcase [^>]*name="health"[\s\S]*<failure [^>]*a &lt;b&gt; \| c/],
    [["--markdown"], /^#+ .*deploy[\s\S]*\| .*smoke.* \|[\s\S]*Look at the log\./],
    [["--json"], /^\{[\s\S]*"verdict": "no-go"/],
    // Of a format beside it the document is still JSON.
    [["--json", "--junit"], /^\{[\s\S]*"verdict": "no-go"/],
  ])("%s prints the whole document, and ends with 3", async (flags, document) => {
    const { exitCode, stdout, stderr } = await gate(flags);

    expect(exitCode, stderr).toBe(3);
    expect(stdout).toMatch(document);
    expect(stderr).toContain("E_NO_GO");
  });

  test("--github annotates the log and adds the report to the step's summary", async () => {
    const summary = join(folder, "summary.md");
    writeFileSync(summary, "before\n");
    const { exitCode, stdout, stderr } = await gate(["--github"], { GITHUB_STEP_SUMMARY: summary });

    expect(exitCode, stderr).toBe(3);
    expect(stdout).toMatch(/^::error [^\n]*smoke[^\n]*a <b> \| c/m);
    expect(readFileSync(summary, "utf8")).toMatch(/^before\n[\s\S]*smoke/);
  });

  test("two formats at once are refused, and nothing is measured", async () => {
    const { exitCode, stdout, stderr } = await gate(["--junit", "--markdown"]);

    expect([exitCode, stdout]).toEqual([2, ""]);
    expect(stderr).toContain("--markdown: is one format and --junit another");
  });
});
