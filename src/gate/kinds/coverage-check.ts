import { z } from "zod";
import { OpsError } from "../../core/errors.ts";
import { formatPercent } from "../../core/percent.ts";
import { duration } from "../../core/schema.ts";
import { parseThreshold } from "../../core/threshold.ts";
import { defineCheck, type Measurement } from "../../run/check.ts";
import { judgeByLimits } from "../../run/limits.ts";
import { type Coverage, metrics, readCoverage, totalOf } from "../coverage-report.ts";
import { CoverageSources } from "../coverage-source.ts";
import { readReports, reportEvidence, requireFresh } from "../report-file.ts";

const usualLimit = parseThreshold("< 80%");

export const coverageCheck = defineCheck({
  kind: "coverage",
  summary: "The share of lines, branches or functions that tests executed, from lcov or Cobertura XML",
  why: "What no test executes is tried in production first.",
  remedy: "Test what is not covered; where the limit is wrong, change it in a commit of its own.",
  limitUnits: ["percent"],
  input: z.strictObject({
    files: z
      .array(z.string().min(1, "must not be empty"))
      .min(1, "needs a file")
      .describe("Paths and globs of lcov or Cobertura files; several add up, file by file"),
    of: z.enum(metrics).default("lines").describe("What is counted"),
    "max-age": duration("How old the files may be").prefault("24h"),
  }),
  measure: async (context, input): Promise<Measurement> => {
    const files = await readReports(context, input.files, input["max-age"]);
    const coverage: Coverage = new Map();
    const sources = new CoverageSources();
    const formats = new Set<string>();
    for (const file of files) {
      const { format, at } = await readCoverage(file, coverage, sources);
      formats.add(format);
      if (at !== undefined) requireFresh(context, file.shown, at, input["max-age"]);
    }
    if (formats.size > 1) {
      throw new OpsError("E_REPORT_BROKEN", "lcov and Cobertura are both there, which cannot be added up", {
        hint: "name the files of one of them",
        retryable: false,
      });
    }
    const totals = Object.fromEntries(metrics.map((each) => [each, totalOf(coverage, each)]));
    const { covered, total } = totalOf(coverage, input.of);
    const share = total === 0 ? null : (100 * covered) / total;
    // Rounded down: 79.99% is not 80%.
    const shown =
      share === null
        ? `the reports count no ${input.of}`
        : `${formatPercent(Math.floor(share * 10) / 10)} of ${total} ${input.of} covered`;
    return {
      value: share,
      shown,
      evidence: {
        ...{ of: input.of, formats: [...formats], sources: coverage.size, totals },
        fileCount: files.length,
        files: reportEvidence(files),
      },
    };
  },
  judge: ({ value, shown }, _input, limits) =>
    typeof value === "number"
      ? judgeByLimits(value, shown, { ...limits, fail: limits.fail ?? usualLimit })
      : { status: "unknown", reason: shown },
});
