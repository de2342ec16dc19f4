import { chmod, mkdir, mkdtemp, readdir, rm, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { checks } from "../../../src/gate/checks.ts";
import { runProgram } from "../../../src/process/run-program.ts";
import { testContext } from "../../support/context.ts";
import { measuredCheck } from "../../support/measured-check.ts";

let directory: string;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "ops-reports-"));
});

afterAll(async () => {
  await rm(directory, { recursive: true });
});

const measured = (kind: string, input: object, settings: object = {}) =>
  measuredCheck(testContext({}, { directory }), checks, { kind, with: input, ...settings });

async function written(name: string, text: string): Promise<string> {
  await mkdir(join(directory, name, ".."), { recursive: true });
  await writeFile(join(directory, name), text);
  return name;
}

/** A suite of the tests that Node itself runs, with what its reporters write of it. */
async function runTests(): Promise<void> {
  await written(
    "own/sum.mjs",
    "export function sum(a, b) {\n  return a + b;\n}\nexport function never() {\n  return 1;\n}\n",
  );
  await written(
    "own/sum.test.mjs",
    `import { test } from "node:test";
     import assert from "node:assert";
     import { sum } from "./sum.mjs";
     test("adds", () => assert.equal(sum(1, 2), 3));
     test("payment adds", () => assert.equal(sum(1, 2), 4));
     test("later", { skip: true }, () => {});`,
  );
  const reporters = ["junit", "lcov"].flatMap((each) => [
    `--test-reporter=${each}`,
    `--test-reporter-destination=report.${each}`,
  ]);
  const args = ["--test", "--experimental-test-coverage", ...reporters, "sum.test.mjs"];
  const { exitCode } = await runProgram(process.execPath, args, { cwd: join(directory, "own") });
  expect(exitCode).toBe(1);
}

describe("junit", () => {
  const cases = (passed: number, rest = "", attributes = "") =>
    `<testsuite name="s" ${attributes}>${'<testcase name="t"/>'.repeat(passed)}${rest}</testsuite>`;
  const failed =
    '<testcase classname="shop" name="pays/visa"><properties><property name="severity" value="critical"/></properties><failure message="&lt;"/></testcase>';
  const junit = async (text: string, input: object = {}, settings: object = {}) => {
    await written("j/report.xml", text);
    return measured("junit", { files: ["j/*.xml"], ...input }, settings);
  };

  test("what a test runner wrote: skipped tests are none that passed", async () => {
    await runTests();

    expect(await measured("junit", { files: ["own/report.junit"] })).toMatchObject({
      status: "fail",
      value: 50,
      reason: "50% of 2 tests passed, 1 skipped, first failed: test › payment adds, limit <= 95%",
      evidence: { passed: 1, failed: 1, skipped: 1 },
    });
  });

  test.each([
    ["all pass", cases(20), {}, "pass", "100% of 20 tests passed, within limit <= 95%"],
    [
      "one of 19 fails",
      cases(18, failed),
      {},
      "fail",
      "94.7% of 19 tests passed, first failed: s › shop › pays/visa",
    ],
    ["one of 20 fails", cases(19, failed), {}, "fail", "95% of 20 tests passed, first failed"],
    ["one of 21 fails", cases(20, failed), {}, "pass", "95.2% of 21 tests passed, first failed"],
    [
      "a critical one by name",
      cases(40, failed),
      { critical: ["*pays*"] },
      "fail",
      "a critical test did not pass: s › shop › pays/visa",
    ],
    [
      "a critical one by property",
      cases(40, failed),
      { critical: ["severity=critical"] },
      "fail",
      "a critical test",
    ],
    [
      "a critical one was skipped",
      cases(40, '<testcase name="pays"><skipped/></testcase>'),
      { critical: ["*pays*"] },
      "fail",
      "a critical test",
    ],
    [
      "many critical ones, of a path that begins with a dot",
      cases(40, '<testcase name="./pays"><failure/></testcase>'.repeat(30)),
      { critical: ["*pays*"] },
      "fail",
      "./pays and 29 more",
    ],
    [
      "a critical pattern finds nothing",
      cases(40),
      { critical: ["*pays*"] },
      "unknown",
      "no test matches critical",
    ],
    [
      "one of two critical patterns finds nothing",
      cases(40, '<testcase name="pays"/>'),
      { critical: ["*pays*", "*paymets*"] },
      "unknown",
      "no test matches critical: *paymets*; 100% of 41 tests passed",
    ],
    ["flaky", cases(1, '<testcase name="f"><flakyFailure/></testcase>'), {}, "pass", "100% of 2"],
    [
      "only skipped ones",
      cases(0, '<testcase name="f"><skipped/></testcase>'),
      {},
      "unknown",
      "no test ran, 1 skipped",
    ],
    [
      "too many skipped",
      cases(3, '<testcase name="f"><skipped/></testcase>'),
      { "max-skipped": "20%" },
      "fail",
      "25% of all tests were skipped",
    ],
    [
      "a suite that ended before its tests",
      cases(9, "", 'tests="9" errors="1"'),
      {},
      "fail",
      "90% of 10 tests passed, 1 failed before a test began",
    ],
    ["no test", "<testsuites/>", {}, "unknown", "no test ran"],
    ["cut off", cases(3).slice(0, -6), {}, "unknown", "report.xml cannot be read"],
    ["empty", "", {}, "unknown", "it is empty"],
    ["another format", "<html/>", {}, "unknown", "its root is <html>"],
    ["an entity", '<!DOCTYPE a [<!ENTITY e "x">]><testsuite name="&e;"/>', {}, "unknown", "undefined entity"],
    ["deep", "<testsuite>".repeat(5000), {}, "unknown", "nested deeper"],
  ])("%s", async (_, text, input, status, reason) => {
    const result = await junit(text, input);

    expect(result.reason).toContain(reason);
    expect(result.status).toBe(status);
  });

  test("an old file, one from the future and none are unknown, never passed", async () => {
    const path = join(directory, await written("j/old.xml", cases(5)));
    const days = (count: number) => new Date(Date.now() + count * 86_400_000);
    await utimes(path, days(-2), days(-2));
    expect(await measured("junit", { files: ["j/old.xml"] })).toMatchObject({
      status: "unknown",
      reason: expect.stringMatching(/j\/old.xml is 2d 0h old, max-age is 1d 0h/),
    });
    expect(await measured("junit", { files: ["j/old.xml"], "max-age": "3d" })).toMatchObject({
      status: "pass",
    });
    await utimes(path, days(1), days(1));
    expect(await measured("junit", { files: ["j/old.xml"] })).toMatchObject({ status: "unknown" });
    const copied = cases(5, "", `timestamp="${days(-2).toISOString()}"`);
    expect(await junit(copied)).toMatchObject({ status: "unknown", reason: expect.stringContaining("old") });
    expect(await measured("junit", { files: ["j/old.xml", "none/*.xml"] })).toMatchObject({
      status: "unknown",
      reason: "There is no file none/*.xml",
    });
  });
});

describe("coverage", () => {
  const line = (number: number, hits: number, more = "") =>
    `<line number="${number}" hits="${hits}" ${more}/>`;
  const cobertura = (lines: string, attributes = "") =>
    `<?xml version="1.0"?><!DOCTYPE coverage SYSTEM "http://127.0.0.1:9/coverage-04.dtd"><coverage line-rate="1" ${attributes}><packages><package><classes>` +
    `<class name="C" filename="c.py"><methods><method name="m" signature=""><lines>${lines}</lines></method></methods><lines>${lines}</lines></class></classes></package></packages></coverage>`;
  const coverage = async (text: string, input: object = {}) => {
    await written("c/report", text);
    return measured("coverage", { files: ["c/report"], ...input });
  };

  test("what Node's test runner wrote", async () => {
    expect(await measured("coverage", { files: ["own/report.lcov"], of: "functions" })).toMatchObject({
      status: "fail",
      reason: "50% of 2 functions covered, limit < 80%",
    });
  });

  test.each([
    [
      "sums of files, not a mean of shares",
      "SF:a\nLF:90\nLH:81\nend_of_record\nSF:b\nLF:10\nLH:0\nend_of_record\n",
      {},
      "pass",
      "81% of 100 lines covered",
    ],
    [
      "a file that two tests executed counts once",
      "SF:a\nDA:1,1\nDA:2,0\nend_of_record\nSF:a\nDA:1,0\nDA:2,1\nend_of_record\n",
      {},
      "pass",
      "100% of 2 lines",
    ],
    [
      "a branch that was never reached",
      "SF:a\nBRDA:1,0,0,-\nBRDA:1,0,1,2\nend_of_record\n",
      { of: "branches" },
      "fail",
      "50% of 2 branches",
    ],
    [
      "functions of lcov 2",
      "SF:a\nFN:1,5,f\nFN:6,9,g\nFNDA:1,f\nend_of_record\n",
      { of: "functions" },
      "fail",
      "50% of 2 functions",
    ],
    ["no lines at all", "SF:a\nLF:0\nLH:0\nend_of_record\n", {}, "unknown", "the reports count no lines"],
    [
      "a sum beyond reason",
      "SF:a\nLF:99999999999\nLH:1\nend_of_record\n",
      {},
      "unknown",
      "LF is 99999999999",
    ],
    [
      "sums beyond reason",
      '<coverage lines-valid="99999999999"/>',
      {},
      "unknown",
      "lines-valid is 99999999999",
    ],
    [
      "a line with more branches than one can have",
      cobertura(line(1, 1, 'condition-coverage="0% (0/99999999999)"')),
      { of: "branches" },
      "unknown",
      "more branches than",
    ],
    ["cut off", "SF:a\nDA:1,1\n", {}, "unknown", "end_of_record is missing"],
    ["not lcov", "hello\n", {}, "unknown", "line 1: this is no line of lcov"],
    [
      "the same file as lines and as a sum",
      "SF:a\nDA:1,1\nend_of_record\nSF:a\nLF:5\nLH:5\nend_of_record\n",
      {},
      "unknown",
      "cannot be added",
    ],
    [
      "Cobertura's lines, though its rate says all, each once",
      cobertura(line(1, 1) + line(2, 0)),
      {},
      "fail",
      "50% of 2 lines",
    ],
    [
      "conditions",
      cobertura(line(1, 1, 'branch="true" condition-coverage="75% (3/4)"')),
      { of: "branches" },
      "fail",
      "75% of 4 branches",
    ],
    ["methods", cobertura(line(1, 1)), { of: "functions" }, "pass", "100% of 1 functions"],
    [
      "sums alone",
      '<coverage line-rate="0.9" lines-valid="1000" lines-covered="799"/>',
      {},
      "fail",
      "79.9% of 1000 lines",
    ],
    [
      "a rate of nothing",
      '<coverage line-rate="1" lines-valid="0" lines-covered="0"/>',
      {},
      "unknown",
      "names no class and no lines",
    ],
    ["an old one that was copied", cobertura(line(1, 1), 'timestamp="1700000000"'), {}, "unknown", "max-age"],
    ["JaCoCo", "<report/>", {}, "unknown", "its root is <report>: write lcov or Cobertura"],
  ])("%s", async (_, text, input, status, reason) => {
    const result = await coverage(text, input);

    expect(result.reason).toContain(reason);
    expect(result.status).toBe(status);
  });
});

describe("coverage of several reports", () => {
  const half = (covered: 1 | 2, path = "src/index.ts") =>
    `SF:${path}\nDA:1,${covered === 1 ? 1 : 0}\nDA:2,${covered === 2 ? 1 : 0}\nend_of_record\n`;
  const cobertura = (covered: 1 | 2, root: string) =>
    `<coverage><sources><source>${root}</source></sources><packages><package><classes><class name="C" filename="c.py"><lines>` +
    `<line number="1" hits="${covered === 1 ? 1 : 0}"/><line number="2" hits="${covered === 2 ? 1 : 0}"/></lines></class></classes></package></packages></coverage>`;
  const reports = async (name: string, files: Readonly<Record<string, string>>) => {
    for (const [file, text] of Object.entries(files)) await written(`${name}/${file}`, text);
    return measured("coverage", { files: [`${name}/**/*.{info,xml}`] });
  };

  test.each([
    [
      "two packages call two files alike",
      {
        "packages/a/src/index.ts": "",
        "packages/a/coverage/lcov.info": half(1),
        "packages/b/src/index.ts": "",
        "packages/b/coverage/lcov.info": half(2),
      },
      "fail",
      "50% of 4 lines covered",
    ],
    [
      "two reports of one package",
      { "src/index.ts": "", "coverage/unit/lcov.info": half(1), "coverage/e2e/lcov.info": half(2) },
      "pass",
      "100% of 2 lines covered",
    ],
    [
      "files that are not here",
      { "packages/a/coverage/lcov.info": half(1), "packages/b/coverage/lcov.info": half(2) },
      "unknown",
      "whether they mean the same one cannot be told",
    ],
    [
      "absolute paths of another machine, where each was built in a place of the same name",
      { "a.info": half(1, "/app/src/index.ts"), "b.info": half(2, "/app/src/index.ts") },
      "unknown",
      "both have /app/src/index.ts",
    ],
    [
      "Cobertura's own roots",
      { "x/c.py": "", "y/c.py": "", "c.py": "", "x.xml": cobertura(1, "x"), "y.xml": cobertura(2, "y") },
      "fail",
      "50% of 4 lines covered",
    ],
  ])("%s", async (name, files, status, reason) => {
    const result = await reports(`reports of ${name}`, files);

    expect(result.reason).toContain(reason);
    expect(result.status).toBe(status);
  });
});

describe("audit", () => {
  const advisory = (severity: string, id: string) => ({
    source: 1,
    name: "tar",
    title: "Path traversal",
    url: `https://github.com/advisories/${id}`,
    severity,
  });
  const npm = (...via: object[]) => {
    const packages =
      via.length === 0 ? {} : { tar: { severity: "high", via }, above: { severity: "high", via: ["tar"] } };
    return {
      auditReportVersion: 2,
      vulnerabilities: packages,
      metadata: { vulnerabilities: { total: Object.keys(packages).length } },
    };
  };
  const rules = [
    { id: "js/sql", properties: { "security-severity": "8.8" } },
    { id: "js/note", defaultConfiguration: { level: "note" } },
  ];
  const sarif = (results: object[] | null, more: object = {}) => ({
    version: "2.1.0",
    runs: [
      { tool: { driver: { name: "CodeQL", rules } }, ...(results === null ? {} : { results }), ...more },
    ],
  });
  const found = {
    ruleId: "js/sql",
    ruleIndex: 0,
    message: { text: "SQL from a user" },
    locations: [{ physicalLocation: { artifactLocation: { uri: "a.js" }, region: { startLine: 3 } } }],
  };
  const ghsa = "GHSA-aaaa-bbbb-cccc";
  const allow = (until: string) => ({ allow: [{ id: ghsa, reason: "only in a build", until }] });

  test.each([
    ["nothing", npm(), {}, "pass", "0 findings (high or graver), within limit > 0"],
    [
      "an advisory, once for all packages",
      npm(advisory("high", ghsa)),
      {},
      "fail",
      `1 finding (high or graver): high tar: Path traversal (${ghsa}), limit > 0`,
    ],
    ["a mild one", npm(advisory("moderate", ghsa)), {}, "pass", "0 findings"],
    [
      "a mild one that counts",
      npm(advisory("moderate", ghsa)),
      { severity: "moderate" },
      "fail",
      "1 finding",
    ],
    [
      "an allowed one",
      npm(advisory("high", ghsa)),
      allow("2999-01-01"),
      "pass",
      "0 findings (high or graver), 1 allowed",
    ],
    [
      "one that was allowed",
      npm(advisory("high", ghsa)),
      allow("2020-01-01"),
      "fail",
      `${ghsa} was allowed until 2020-01-02 00:00 UTC`,
    ],
    ["npm 6", { advisories: {} }, {}, "unknown", "it is of npm 6"],
    [
      "npm that failed",
      { error: { code: "ENOLOCK", summary: "needs a lockfile" } },
      {},
      "unknown",
      "npm audit failed: needs a lockfile",
    ],
    [
      "counts that do not fit",
      { ...npm(), metadata: { vulnerabilities: { total: 3 } } },
      {},
      "unknown",
      "it counts 3",
    ],
    [
      "SARIF by its score",
      sarif([found]),
      {},
      "fail",
      "1 finding (high or graver): high a.js:3: SQL from a user (js/sql)",
    ],
    [
      "SARIF by its rule's level",
      sarif([{ ruleId: "js/note" }]),
      { severity: "moderate" },
      "pass",
      "0 findings",
    ],
    [
      "SARIF without a level is a warning",
      sarif([{ ruleId: "other" }]),
      { severity: "moderate" },
      "fail",
      "1 finding",
    ],
    [
      "suppressed",
      sarif([{ ...found, suppressions: [{ kind: "inSource", status: "accepted" }] }]),
      {},
      "pass",
      "0 findings",
    ],
    [
      "a suppression that was rejected",
      sarif([{ ...found, suppressions: [{ status: "rejected" }] }]),
      {},
      "fail",
      "1 finding",
    ],
    [
      "gone since the baseline, and passed",
      sarif([
        { ...found, baselineState: "absent" },
        { ...found, kind: "pass" },
      ]),
      {},
      "pass",
      "0 findings",
    ],
    [
      "a tool that failed",
      sarif([], { invocations: [{ executionSuccessful: false }] }),
      {},
      "unknown",
      "CodeQL says that it did not succeed",
    ],
    ["a tool that looked for nothing", sarif(null), {}, "unknown", "there are no results"],
    ["another version", { version: "2.0.0", runs: [] }, {}, "unknown", "it is no SARIF 2.1.0"],
    ["something else", [], {}, "unknown", "it is neither"],
  ])("%s", async (_, report, input, status, reason) => {
    await written("a/report.json", JSON.stringify(report));
    const result = await measured("audit", { files: ["a/report.json"], ...input });

    expect(result.reason).toContain(reason);
    expect(result.status).toBe(status);
  });

  test("a program may print the report; its exit code says nothing", async () => {
    const print = `console.log(${JSON.stringify(JSON.stringify(npm(advisory("critical", ghsa))))}); process.exit(1)`;
    const command = [process.execPath, "-e", print];
    expect(await measured("audit", { command })).toMatchObject({
      status: "fail",
      rawDigest: expect.any(String),
    });
    // npm itself, where nothing is locked.
    expect(await measured("audit", { command: ["npm", "audit", "--json"] })).toMatchObject({
      status: "unknown",
      reason: expect.stringContaining("npm audit failed"),
    });
  });
});

describe("git", () => {
  const git = async (cwd: string, ...args: string[]) => {
    const identity = ["-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "commit.gpgsign=false"];
    const { exitCode, stdout, stderr } = await runProgram("git", [...identity, ...args], {
      cwd: join(directory, cwd),
    });
    if (exitCode !== 0) throw new Error(stderr);
    return stdout.trim();
  };

  test("clean, branch, tag, upstream and what CI said of the commit", async () => {
    await written("origin/a", "1");
    await git("origin", "init", "-qb", "main");
    await git("origin", "add", "a");
    await git("origin", "commit", "-qm", "one");
    await git(".", "clone", "-q", "origin", "work");
    const look = (input: object = {}) => measured("git", { repository: "work", ...input });
    const head = await git("work", "rev-parse", "HEAD");

    expect(await look({ branch: ["release/*", "main"], "not-behind": true })).toMatchObject({
      status: "pass",
      value: head,
      evidence: { commit: head, branch: "main", upstream: "origin/main" },
    });
    expect(await look({ branch: ["release/*"], tag: "v*" })).toMatchObject({
      status: "fail",
      reason: `${head.slice(0, 12)} (main): not on the branch release/*; no tag like v* is at this commit`,
    });
    await git("work", "tag", "v1.0");
    expect(await look({ tag: "v*" })).toMatchObject({ status: "pass" });

    const said = async (commit: string, state: string) => {
      await written("ci.json", JSON.stringify({ commit, state }));
      return look({ "ci-status": "ci.json" });
    };
    expect(await said(head, "success")).toMatchObject({ status: "pass" });
    expect(await said(head, "failure")).toMatchObject({
      status: "fail",
      reason: expect.stringContaining("CI says failure"),
    });
    expect(await said(head, "pending")).toMatchObject({ status: "unknown" });
    expect(await said("0".repeat(40), "success")).toMatchObject({
      status: "fail",
      reason: expect.stringContaining("not of this commit"),
    });
    expect(await said(head.slice(0, 7), "success")).toMatchObject({ status: "unknown" });
    expect(await look({ "ci-status": "none.json" })).toMatchObject({ status: "unknown" });

    await written("origin/a", "2");
    await git("origin", "commit", "-qam", "two");
    await git("work", "fetch", "-q");
    expect(await look({ "not-behind": true })).toMatchObject({
      status: "fail",
      reason: expect.stringContaining("1 commit behind origin/main"),
    });
    await git("work", "checkout", "-q", "--detach");
    expect(await look({ "not-behind": true })).toMatchObject({ status: "unknown" });

    await written("work/new file", "");
    expect(await look()).toMatchObject({
      status: "fail",
      reason: expect.stringContaining("1 file that git does not know: new file"),
    });
    await git("work", "add", ".");
    await git("work", "mv", "a", "b c");
    expect(await look()).toMatchObject({
      status: "fail",
      evidence: { changes: 2, changed: ["b c", "new file"] },
    });
    expect(await look({ clean: false })).toMatchObject({ status: "pass" });
  });

  test("a repository's own configuration starts no program, and nothing is written", async () => {
    await written("hostile/a", "1");
    await written("hostile/.gitattributes", "a filter=x=y\n");
    await git("hostile", "init", "-qb", "main");
    await git("hostile", "add", ".");
    await git("hostile", "commit", "-qm", "one");
    const trap = join(directory, await written("trap.sh", `#!/bin/sh\ntouch ${directory}/sprung\ncat\n`));
    await chmod(trap, 0o755);
    await git("hostile", "config", "core.fsmonitor", trap);
    await git("hostile", "config", "filter.x=y.clean", trap);
    await git("hostile", "config", "filter.x=y.required", "true");
    await git("hostile", "config", "core.hooksPath", directory);
    // The same size at another time: git must read the content again, through the filter.
    await written("hostile/a", "2");
    const before = await readdir(join(directory, "hostile/.git"));

    expect(await measured("git", { repository: "hostile" })).toMatchObject({
      status: "unknown",
      reason: expect.stringContaining("the filter x=y of the repository's own configuration was not run"),
    });
    expect(await readdir(directory)).not.toContain("sprung");
    expect(await readdir(join(directory, "hostile/.git"))).toEqual(before);
    // The trap is a good one: git as it is springs it.
    await git("hostile", "status");
    expect(await readdir(directory)).toContain("sprung");
  });

  test("what is no repository, or has no commit, is unknown", async () => {
    await mkdir(join(directory, "empty"));
    expect(await measured("git", { repository: "empty" })).toMatchObject({
      status: "unknown",
      reason: expect.stringContaining("not a git repository"),
    });
    await git("empty", "init", "-q");
    expect(await measured("git", { repository: "empty" })).toMatchObject({
      status: "unknown",
      reason: "The repository has no commit yet",
    });
    expect(await measured("git", { repository: "nowhere" })).toMatchObject({ status: "unknown" });
  });
});

describe("freeze", () => {
  const hours = (count: number) =>
    new Date(Date.now() + count * 3_600_000).toISOString().slice(0, 16).replace("T", " ");
  const freeze = async (text: string, input: object = {}, settings: object = {}) => {
    await written("f/freezes.yaml", text);
    return measured("freeze", { calendar: "f/freezes.yaml", ...input }, settings);
  };
  const now = `freezes: [{ from: ${hours(-2)}, to: ${hours(5)}, reason: Audit }]`;
  const soon = `freezes: [{ from: ${hours(3)}, to: ${hours(5)}, reason: Audit }]`;
  const exception = (until: string) => ({
    exceptions: [{ freeze: "Audit", by: "Ada", reason: "fix 4711", until }],
  });

  test.each([
    ["a freeze", now, {}, {}, "fail", /^change freeze "Audit" until .* UTC \((4h 59m|5h 00m) left\)$/],
    [
      "an exception",
      now,
      exception(hours(1)),
      {},
      "warn",
      /exception by Ada until .* UTC: fix 4711; next freeze \("Audit"\) begins in (59m|1h 00m)/,
    ],
    ["an exception that has ended", now, exception(hours(-1)), {}, "fail", /; the exception by Ada ended /],
    [
      "an exception from another freeze",
      now,
      { exceptions: [{ freeze: "Adit", by: "A", reason: "b", until: hours(1) }] },
      {},
      "fail",
      /Audit.*; the exception by A is from "Adit", which is no freeze here \(did you mean "Audit"\?\)$/,
    ],
    [
      "one that begins soon",
      soon,
      {},
      { warn: "< 4h" },
      "warn",
      /^next freeze \("Audit"\) begins in (2h 59m|3h 00m), .*, limit < 4h$/,
    ],
    ["one that begins later", soon, {}, { warn: "< 1h" }, "pass", /begins in/],
    ["none", "freezes: []", {}, { warn: "< 1h" }, "pass", /^no freeze within a year$/],
    ["an empty file", "", {}, {}, "unknown", /f\/freezes.yaml/],
    ["a mistake", "freezes: [{ from: tomorrow }]", {}, {}, "unknown", /"tomorrow" is no date and no time/],
    ["no file", now, { calendar: "f/none.ics" }, {}, "unknown", /There is no file f\/none.ics/],
  ])("%s", async (_, text, input, settings, status, reason) => {
    const result = await freeze(text, input, settings);

    expect(result.reason).toMatch(reason);
    expect(result.status).toBe(status);
  });
});
