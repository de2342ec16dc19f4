import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { SaxesParser } from "saxes";
import { describe, expect, test } from "vitest";
import { addStepSummary, githubReport } from "../../../src/gate/formats/github.ts";
import { junitReport } from "../../../src/gate/formats/junit.ts";
import { markdownReport } from "../../../src/gate/formats/markdown.ts";
import { type GateResult, noGo, renderGate, verdict } from "../../../src/run/gate-verdict.ts";
import type { CheckResult } from "../../../src/run/measure-check.ts";

const at = "2026-11-22T10:00:00.000Z";
const given = {
  id: "o1",
  by: "Ann Lee",
  actor: "ann@desk",
  host: "desk",
  reason: "the vendor's maintenance",
  at,
  until: "2026-11-22T14:00:00.000Z",
};

function check(id: string, settings: Partial<CheckResult> = {}): CheckResult {
  return {
    id,
    kind: "sql",
    status: "pass",
    counts: "pass",
    required: true,
    value: 1,
    shown: "1",
    reason: "all is well",
    limits: {},
    startedAt: at,
    endedAt: at,
    durationMs: 12,
    ...settings,
  };
}

function gate(...checks: CheckResult[]): GateResult {
  const about = {
    gate: "pre-deploy",
    environment: "production",
    startedAt: at,
    endedAt: at,
    durationMs: 20,
    configuration: "sha256:00",
    actor: "ann@desk",
    host: "desk",
    version: "1.2.3",
    run: "20261122-100000-abcd",
  };
  return verdict(about, checks);
}

const whole = gate(
  check("lag"),
  check("health", {
    status: "fail",
    counts: "fail",
    reason: "status 503",
    why: "users wait",
    remedy: "look",
  }),
  check("blind", { status: "unknown", counts: "fail", reason: "no connection" }),
  check("hint", { status: "unknown", counts: "warn", required: false, reason: "no rows" }),
  check("vendor", { status: "fail", counts: "warn", reason: "status 500", override: given }),
  check("load", { kept: { ageMs: 185_000 }, limits: { fail: "> 200ms" } }),
);
const overriddenText = "overridden by Ann Lee until 2026-11-22 14:00 UTC: the vendor's maintenance";
/** Nothing that a check can read may break out of a format. */
const hostile = gate(
  check("evil", {
    status: "fail",
    counts: "fail",
    reason: 'a\u0000\u0008\u001b[31m\uFFFF\uD800 <b>&]]>" | `x`\n::error::gotcha ##[add-mask]all\r%0A',
    evidence: { text: "```\u0001</details>", deep: [null, 1, true] },
  }),
);

/** Elements in the order of their opening tags, by a parser that refuses what is not well-formed XML 1.0. */
function parsed(xml: string) {
  const parser = new SaxesParser();
  const elements: { name: string; attributes: Record<string, string>; text: string }[] = [];
  const open: number[] = [];
  parser.on("opentag", ({ name, attributes }) => {
    open.push(elements.length);
    elements.push({ name, attributes: { ...attributes }, text: "" });
  });
  parser.on("text", (text) => {
    const element = elements[open.at(-1) ?? -1];
    if (element !== undefined) element.text += text;
  });
  parser.on("closetag", () => void open.pop());
  parser.on("error", (error) => {
    throw error;
  });
  parser.write(xml).close();
  return elements;
}

describe("JUnit XML", () => {
  test("has a case for each check: failed, unknown as an error or skipped, and the rest passed", () => {
    const elements = parsed(junitReport(whole));
    const named = (name: string) => elements.filter((each) => each.name === name);

    expect(named("testsuite")[0]?.attributes).toMatchObject({
      name: "gate pre-deploy",
      tests: "6",
      failures: "1",
      errors: "1",
      skipped: "1",
      timestamp: "2026-11-22T10:00:00",
    });
    expect(named("testcase").map(({ attributes }) => attributes.name)).toEqual(
      whole.checks.map(({ id }) => id),
    );
    expect(named("failure")).toMatchObject([
      { attributes: { message: "status 503", type: "fail" }, text: expect.stringContaining("do: look") },
    ]);
    expect(named("error")[0]?.attributes.message).toBe("no connection");
    expect(named("skipped")[0]?.attributes.message).toBe("no rows (not required, unknown, counts as warn)");
    const said = named("system-out").map(({ text }) => text);
    expect(said.filter((text) => text.includes(overriddenText))).toEqual([
      expect.stringMatching(/^fail: status 500/),
    ]);
    expect(said.at(-1)).toContain("measured 3m 05s ago");
  });

  test("is well-formed whatever a check read", () => {
    const [failure] = parsed(junitReport(hostile)).filter(({ name }) => name === "failure");

    expect(failure?.attributes.message).toContain('<b>&]]>" | `x`\n::error::gotcha');
    expect(failure?.attributes.message).not.toContain("\u0000");
  });
});

describe("Markdown", () => {
  test("is a table of one line for each check, and says who overrides what", () => {
    const lines = markdownReport(whole).split("\n");
    const rows = lines.filter((line) => line.startsWith("| ")).slice(2);

    expect(lines[0]).toBe("## ❌ Gate pre-deploy: no-go \\(1 check overridden\\)");
    expect(rows).toHaveLength(whole.checks.length);
    expect(rows[0]).toBe("| ✅ | lag | all is well |  | 12ms |");
    expect(rows[4]).toContain(`status 500<br>${overriddenText}`);
    expect(lines).toContain("- Do: look");
  });

  test("keeps what a check read on its line and in its fence", () => {
    const text = markdownReport(hostile);
    const [row = ""] = text.split("\n").filter((line) => line.startsWith("| ❌"));

    expect(row.replaceAll("\\|", "").match(/\|/g)).toHaveLength(6);
    expect(row).not.toContain("<b>");
    expect(text).toContain("\n````json\n");
  });
});

describe("GitHub", () => {
  test("gets an error for what stops the gate, a warning for what does not, and nothing else as a command", () => {
    const lines = githubReport(whole).split("\n");

    expect(lines.map((line) => /^::(\w+)/.exec(line)?.[1])).toEqual([
      undefined,
      "error",
      "error",
      "warning",
      "warning",
      undefined,
      undefined,
    ]);
    expect(lines[1]).toBe(
      "::error title=Gate pre-deploy%3A health::fail: status 503%0Awhy: users wait%0Ado: look",
    );
    expect(lines[4]).toContain(overriddenText);
    expect(lines.at(-1)).toBe("Gate pre-deploy: no-go (1 check overridden)");
  });

  test("takes no command out of what a check read", () => {
    for (const status of ["fail", "pass"] as const) {
      const [read] = hostile.checks;
      const lines = githubReport(gate({ ...check("evil"), ...read, status, counts: status })).split("\n");

      expect(lines.filter((line) => line.trimStart().startsWith("::"))).toHaveLength(
        status === "fail" ? 1 : 0,
      );
      expect(lines.join("\n")).not.toContain("##[");
      expect(lines).toHaveLength(2);
    }
  });

  test("has the report added to its step summary, and a summary that cannot be written is told", async () => {
    const folder = await mkdtemp(join(tmpdir(), "ops-summary-"));
    try {
      const file = join(folder, "summary.md");
      expect(await addStepSummary(whole, undefined)).toBeUndefined();
      expect(await addStepSummary(whole, file)).toBeUndefined();
      expect(await readFile(file, "utf8")).toBe(`${markdownReport(whole)}\n\n`);
      expect(await addStepSummary(whole, folder)).toContain("was not written: EISDIR");
    } finally {
      await rm(folder, { recursive: true });
    }
  });
});

test("what stops a gate is told on one line, which CI takes for no command", () => {
  const failed = check("lag", {
    status: "fail",
    counts: "fail",
    reason: "no\n  ::stop-commands::x\r\u001b[2J",
  });

  expect(noGo(gate(failed)).message).toBe(
    "Gate pre-deploy says no-go: lag (no ::stop-commands::x \\u{1b}[2J)",
  );
});

test("an overridden check shows what it is and whose word stands against it, in text too", () => {
  expect(renderGate(whole)).toContain(`✗ vendor  status 500\n          ${overriddenText}`);
});
