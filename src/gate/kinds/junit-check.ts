import { matchesGlob } from "node:path";
import { z } from "zod";
import { formatPercent, percent } from "../../core/percent.ts";
import { duration, percentage } from "../../core/schema.ts";
import { parseThreshold } from "../../core/threshold.ts";
import { type CheckLimits, defineCheck, type Judgement, type Measurement } from "../../run/check.ts";
import { judgeByLimits } from "../../run/limits.ts";
import { readJunit, type TestCase } from "../junit-report.ts";
import { readReports, reportEvidence, requireFresh } from "../report-file.ts";

const usualLimit = parseThreshold("<= 95%");
/** Names in the evidence; a thousand failures are told by their number. */
const mostNames = 20;

type JunitEvidence = {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
  readonly unlisted: number;
  readonly failedTests: string[];
  /** Critical tests that did not pass: failed, skipped. */
  readonly criticalTests: string[];
  readonly criticalsBad: number;
  /** Patterns that match no test. */
  readonly criticalsMissing: string[];
};

export const junitCheck = defineCheck({
  kind: "junit",
  summary:
    "The share of tests in JUnit XML that passed, of those that ran; a critical test that did not pass fails",
  why: "What fails in a test fails in production too.",
  remedy: "Mend what fails and run the tests again; the evidence names them.",
  limitUnits: ["percent"],
  input: z.strictObject({
    files: z
      .array(z.string().min(1, "must not be empty"))
      .min(1, "needs a file")
      .describe("Paths and globs of the XML files"),
    critical: z
      .array(z.string().min(1, "must not be empty"))
      .default([])
      .describe("Tests that must all pass: patterns of names (*payment*), or property=value"),
    "max-skipped": percentage("How many of all tests may be skipped; default: any").optional(),
    "max-age": duration("How old the files may be").prefault("24h"),
  }),
  measure: async (context, input): Promise<Measurement> => {
    const files = await readReports(context, input.files, input["max-age"]);
    const cases: TestCase[] = [];
    let unlisted = 0;
    for (const file of files) {
      const report = await readJunit(file);
      if (report.at !== undefined) requireFresh(context, file.shown, report.at, input["max-age"]);
      // One by one: a million arguments are more than a call can have.
      for (const each of report.cases) cases.push(each);
      unlisted += report.unlisted;
    }
    const of = (outcome: TestCase["outcome"]) => cases.filter((each) => each.outcome === outcome);
    const critical = cases.filter((each) => input.critical.some((pattern) => isCritical(each, pattern)));
    const bad = critical.filter((each) => each.outcome !== "passed");
    const [passed, failed, skipped] = [
      of("passed").length,
      of("failed").length + unlisted,
      of("skipped").length,
    ];
    const evidence: JunitEvidence & { files: ReturnType<typeof reportEvidence>; fileCount: number } = {
      ...{ passed, failed, skipped, unlisted },
      failedTests: names(of("failed")),
      criticalTests: names(bad),
      criticalsBad: bad.length,
      criticalsMissing: input.critical.filter((pattern) => !cases.some((each) => isCritical(each, pattern))),
      fileCount: files.length,
      files: reportEvidence(files),
    };
    const ran = passed + failed;
    const share = ran === 0 ? null : (100 * passed) / ran;
    const beside = skipped === 0 ? "" : `, ${skipped} skipped`;
    // Rounded down: 9,999 of 10,000 are not all.
    const shown =
      share === null
        ? `no test ran${beside}`
        : `${formatPercent(Math.floor(share * 10) / 10)} of ${ran} tests passed${beside}`;
    return { value: share, shown, evidence };
  },
  judge: (measurement, input, limits) => judge(measurement, input, limits),
});

function judge(
  { value, shown, evidence }: Measurement,
  input: { readonly "max-skipped"?: number | undefined },
  limits: CheckLimits,
): Judgement {
  const { passed, failed, skipped, unlisted, criticalTests, criticalsBad, criticalsMissing, failedTests } =
    evidence as JunitEvidence;
  const [first] = criticalTests;
  if (first !== undefined) {
    const others = criticalsBad === 1 ? "" : ` and ${criticalsBad - 1} more`;
    return { status: "fail", reason: `a critical test did not pass: ${first}${others}; ${shown}` };
  }
  if (typeof value !== "number") return { status: "unknown", reason: shown };
  if (criticalsMissing.length > 0) {
    return {
      status: "unknown",
      reason: `no test matches critical: ${criticalsMissing.join(", ")}; ${shown}`,
    };
  }
  const most = input["max-skipped"];
  const share = (100 * skipped) / (passed + failed + skipped);
  if (most !== undefined && share > most) {
    return {
      status: "fail",
      reason: `${formatPercent(percent(share))} of all tests were skipped, max-skipped is ${formatPercent(most)}`,
    };
  }
  const named = failedTests[0] === undefined ? "" : `, first failed: ${failedTests[0]}`;
  const hidden = unlisted === 0 ? "" : `, ${unlisted} failed before a test began`;
  return judgeByLimits(value, `${shown}${hidden}${named}`, { ...limits, fail: limits.fail ?? usualLimit });
}

/** A pattern with a sign of equality is one of a property: `severity=critical`. */
function isCritical(test: TestCase, pattern: string): boolean {
  const [, property, wanted] = /^([\w.-]+)=(.*)$/.exec(pattern) ?? [];
  if (property !== undefined && wanted !== undefined) return matches(test.properties[property] ?? "", wanted);
  return matches(test.title, pattern);
}

/** In names a slash is a letter as any other, and so is a dot at the beginning, which a pattern of files passes over. */
function matches(text: string, pattern: string): boolean {
  const flat = (each: string) => `=${each.replaceAll("/", "∕").toLowerCase()}`;
  return matchesGlob(flat(text), flat(pattern));
}

function names(cases: readonly TestCase[]): string[] {
  return cases.slice(0, mostNames).map((each) => each.title.slice(0, 200));
}
