import { z } from "zod";
import { counted } from "../../core/counted.ts";
import { formatMoment } from "../../core/moment.ts";
import { duration } from "../../core/schema.ts";
import { parseThreshold } from "../../core/threshold.ts";
import { defineCheck, type Judgement, type Measurement } from "../../run/check.ts";
import type { OperationContext } from "../../run/context.ts";
import { runDeclared } from "../../run/declared-program.ts";
import { judgeByLimits } from "../../run/limits.ts";
import { type Finding, readAudit, severities } from "../audit-report.ts";
import { momentField } from "../freeze/moment-field.ts";
import { parseMoment } from "../freeze/wall-text.ts";
import { type ReportEvidence, type ReportFile, readReports, reportEvidence } from "../report-file.ts";

const usualLimit = parseThreshold("> 0");
/** Findings in the evidence; a thousand are told by their number. */
const mostShown = 50;

const allowSchema = z.strictObject({
  id: z.string().trim().min(1, "must not be empty").describe("GHSA-…, CVE-…, a rule, or a package"),
  reason: z.string().trim().min(1, "must not be empty").describe("Why it does no harm here"),
  until: momentField("end").describe("Until when that is so: 2026-12-31 (UTC)"),
});

const input = z
  .strictObject({
    files: z
      .array(z.string().min(1, "must not be empty"))
      .min(1, "needs a file")
      .optional()
      .describe("Paths and globs of reports: npm audit --json, SARIF 2.1.0"),
    command: z
      .array(z.string())
      .min(1, "needs a program")
      .optional()
      .describe("Instead of files: a program that prints a report, as a list; no shell reads it"),
    cwd: z.string().optional().describe("Folder it runs in, relative to the configuration file"),
    timeout: duration("How long the program may run").prefault("1m"),
    severity: z.enum(severities).default("high").describe("The mildest that counts"),
    allow: z.array(allowSchema).default([]).describe("Findings that do not count up to a day"),
    "max-age": duration("How old the files may be").prefault("24h"),
  })
  .superRefine(({ files, command, cwd }, context) => {
    const mistake = (path: string, message: string) =>
      context.addIssue({ code: "custom", path: [path], message });
    if ((files === undefined) === (command === undefined))
      mistake("files", 'needs either "files:" or "command:"');
    if (command === undefined && cwd !== undefined) mistake("cwd", "is for a command");
  });
type Input = z.output<typeof input>;

type AuditEvidence = {
  readonly severity: string;
  readonly formats: string[];
  /** The gravest first. */
  readonly findings: string[];
  readonly allowed: string[];
  /** Allowances that would count, had their day not come. */
  readonly lapsed: string[];
  readonly unusedAllowances: string[];
  readonly files: ReportEvidence[];
};

export const auditCheck = defineCheck({
  kind: "audit",
  summary: "How many findings of npm audit or SARIF are at least so severe, without those that are allowed",
  why: "Holes that are known are tried first.",
  remedy: "Update what has a fix; allow what does no harm here, with its reason and an end.",
  limitUnits: ["number"],
  input,
  measure: async (context, asked): Promise<Measurement> => {
    const { sources, rawDigest } = await reports(context, asked);
    const read = sources.map(readAudit);
    const severe = read
      .flatMap(({ findings }) => findings)
      .filter((each) => rank(each) >= severities.indexOf(asked.severity))
      .sort((a, b) => rank(b) - rank(a));
    const now = context.clock.now().getTime();
    const allowances = asked.allow.map((each) => ({ ...each, ends: parseMoment(each.until, "UTC", "end") }));
    const allowance = (finding: Finding) =>
      allowances.find(({ id, ends }) => ends > now && finding.ids.includes(id));
    const counting = severe.filter((each) => allowance(each) === undefined);
    const allowed = severe.filter((each) => allowance(each) !== undefined);
    const lapsed = allowances.filter(
      ({ id, ends }) => ends <= now && counting.some((each) => each.ids.includes(id)),
    );
    const evidence: AuditEvidence = {
      severity: asked.severity,
      formats: [...new Set(read.map(({ format }) => format))],
      findings: counting.slice(0, mostShown).map(line),
      allowed: allowed
        .slice(0, mostShown)
        .map((each) => `${line(each)}; allowed until ${allowance(each)?.until}: ${allowance(each)?.reason}`),
      lapsed: lapsed.map(({ id, ends }) => `${id} was allowed until ${formatMoment(ends)}`),
      unusedAllowances: asked.allow
        .filter(({ id }) => !severe.some(({ ids }) => ids.includes(id)))
        .map(({ id }) => id),
      files: reportEvidence(sources.filter((each) => each.writtenAt !== undefined) as ReportFile[]),
    };
    const grade = asked.severity === "critical" ? "critical" : `${asked.severity} or graver`;
    const beside = allowed.length === 0 ? "" : `, ${allowed.length} allowed`;
    const shown = `${counted(counting.length, "finding")} (${grade})${beside}`;
    return { value: counting.length, shown, evidence, ...(rawDigest === undefined ? {} : { rawDigest }) };
  },
  judge: ({ value, shown, evidence }, _input, limits): Judgement => {
    const { findings, lapsed } = evidence as AuditEvidence;
    const first = findings[0] === undefined ? "" : `: ${findings[0]}`;
    const ended = lapsed[0] === undefined ? "" : `; ${lapsed[0]}`;
    return judgeByLimits(Number(value), `${shown}${first}${ended}`, {
      ...limits,
      fail: limits.fail ?? usualLimit,
    });
  },
});

type Source = { readonly shown: string; readonly text: string; readonly writtenAt?: number };

async function reports(
  context: OperationContext,
  asked: Input,
): Promise<{ readonly sources: readonly Source[]; readonly rawDigest?: string }> {
  if (asked.command === undefined) {
    return { sources: await readReports(context, asked.files ?? [], asked["max-age"]) };
  }
  const { command } = asked;
  const result = await runDeclared(context, { ...asked, command });
  // With findings npm audit ends with 1; whether there are some is in what it prints.
  const shown = `the output of ${command[0]} (exit code ${result.exitCode})`;
  return { sources: [{ shown, text: result.stdout }], rawDigest: result.outputDigest };
}

function rank({ severity }: Finding): number {
  return severities.indexOf(severity);
}

function line({ severity, where, title, ids }: Finding): string {
  return `${severity} ${where}: ${title}${ids[0] === undefined || title.includes(ids[0]) ? "" : ` (${ids[0]})`}`;
}
