import { z } from "zod";
import { broken } from "./xml.ts";

/** From the mildest. */
export const severities = ["info", "low", "moderate", "high", "critical"] as const;
export type Severity = (typeof severities)[number];

/** One thing that a scanner has against the code or its packages. */
export interface Finding {
  /** What an allow list may name it by: `GHSA-…`, `CVE-…`, a rule, the package. */
  readonly ids: readonly string[];
  readonly severity: Severity;
  /** The package, or `file:line`. */
  readonly where: string;
  readonly title: string;
}

/** `npm audit --json` of npm 7 or later, or SARIF 2.1.0, as the text looks. Throws `E_REPORT_BROKEN`. */
export function readAudit(source: { readonly shown: string; readonly text: string }): {
  format: string;
  findings: Finding[];
} {
  if (source.text.trim() === "") throw broken(source, "it is empty");
  let value: unknown;
  try {
    value = JSON.parse(source.text);
  } catch (error) {
    throw broken(source, `it is no JSON (${error instanceof Error ? error.message : "broken"})`);
  }
  const kind = z
    .looseObject({
      auditReportVersion: z.unknown(),
      runs: z.unknown(),
      error: z.unknown(),
      advisories: z.unknown(),
    })
    .partial()
    .safeParse(value);
  if (!kind.success) throw broken(source, "it is neither a report of npm audit nor SARIF");
  if (kind.data.error !== undefined) {
    const said = z.looseObject({ summary: z.string() }).safeParse(kind.data.error);
    throw broken(source, `npm audit failed${said.success ? `: ${said.data.summary.slice(0, 200)}` : ""}`);
  }
  if (kind.data.auditReportVersion === 2) return { format: "npm", findings: npmFindings(source, value) };
  if (kind.data.runs !== undefined) return { format: "sarif", findings: sarifFindings(source, value) };
  if (kind.data.advisories !== undefined) throw broken(source, "it is of npm 6: use npm 7 or later");
  throw broken(source, "it is neither a report of npm audit nor SARIF");
}

const severity = z.enum(severities);
const npmReport = z.looseObject({
  vulnerabilities: z.record(
    z.string(),
    z.looseObject({
      severity,
      via: z.array(
        z.union([
          z.string(),
          z.looseObject({
            source: z.union([z.number(), z.string()]).optional(),
            name: z.string(),
            title: z.string().optional(),
            url: z.string().optional(),
            severity,
          }),
        ]),
      ),
    }),
  ),
  metadata: z.looseObject({ vulnerabilities: z.looseObject({ total: z.number() }) }),
});

/** Advisories, each once: a package that is only affected through another one is no finding of its own. */
function npmFindings(source: { readonly shown: string }, value: unknown): Finding[] {
  const parsed = npmReport.safeParse(value);
  if (!parsed.success)
    throw broken(source, `it is no report of npm audit: ${z.prettifyError(parsed.error).split("\n")[0]}`);
  const { vulnerabilities, metadata } = parsed.data;
  const packages = Object.entries(vulnerabilities);
  if (metadata.vulnerabilities.total !== packages.length) {
    throw broken(
      source,
      `it counts ${metadata.vulnerabilities.total} vulnerable packages and lists ${packages.length}`,
    );
  }
  const advisories = new Map<string, Finding>();
  for (const [name, { via }] of packages) {
    for (const each of via) {
      if (typeof each === "string") continue;
      const id = /(GHSA-[\w-]+)/.exec(each.url ?? "")?.[1];
      const ids = [id, each.source === undefined ? undefined : String(each.source), each.name, name];
      const key = `${id ?? each.source ?? each.url ?? each.title} ${each.name}`;
      advisories.set(key, {
        ids: [...new Set(ids.filter((one) => one !== undefined))],
        severity: each.severity,
        where: each.name,
        title: each.title ?? id ?? "advisory",
      });
    }
  }
  // What is vulnerable through nothing that is listed is told as it is, not left out.
  const reached = new Set(
    packages.filter(([, { via }]) => via.some((each) => typeof each !== "string")).map(([name]) => name),
  );
  for (let grown = true; grown; ) {
    const more = packages.filter(
      ([name, { via }]) =>
        !reached.has(name) && via.some((each) => typeof each === "string" && reached.has(each)),
    );
    for (const [name] of more) reached.add(name);
    grown = more.length > 0;
  }
  const orphans = packages
    .filter(([name]) => !reached.has(name))
    .map(
      ([name, each]): Finding => ({
        ids: [name],
        severity: each.severity,
        where: name,
        title: "vulnerable, without an advisory",
      }),
    );
  return [...advisories.values(), ...orphans];
}

const level = z.enum(["none", "note", "warning", "error"]);
const bag = z.looseObject({ "security-severity": z.union([z.string(), z.number()]).optional() }).optional();
const rule = z.looseObject({
  id: z.string(),
  defaultConfiguration: z.looseObject({ level: level.optional() }).optional(),
  properties: bag,
});
const component = z.looseObject({ name: z.string().optional(), rules: z.array(rule).optional() });
const result = z.looseObject({
  ruleId: z.string().optional(),
  ruleIndex: z.number().optional(),
  rule: z
    .looseObject({
      id: z.string().optional(),
      index: z.number().optional(),
      toolComponent: z.looseObject({ index: z.number().optional() }).optional(),
    })
    .optional(),
  kind: z.string().optional(),
  level: level.optional(),
  baselineState: z.string().optional(),
  suppressions: z.array(z.looseObject({ status: z.string().optional() })).nullish(),
  message: z.looseObject({ text: z.string().optional(), id: z.string().optional() }).optional(),
  locations: z
    .array(
      z.looseObject({
        physicalLocation: z
          .looseObject({
            artifactLocation: z.looseObject({ uri: z.string().optional() }).optional(),
            region: z.looseObject({ startLine: z.number().optional() }).optional(),
          })
          .optional(),
      }),
    )
    .optional(),
  properties: bag,
});
const run = z.looseObject({
  tool: z.looseObject({ driver: component, extensions: z.array(component).optional() }),
  invocations: z.array(z.looseObject({ executionSuccessful: z.boolean() })).optional(),
  results: z.array(result).nullish(),
});
const sarif = z.looseObject({
  version: z.literal("2.1.0"),
  runs: z.array(run).min(1, "there is no run in it"),
});

/** SARIF 2.1.0 (OASIS), sections 3.27 (result), 3.35 (suppression), 3.20.14 (executionSuccessful). */
function sarifFindings(source: { readonly shown: string }, value: unknown): Finding[] {
  const parsed = sarif.safeParse(value);
  if (!parsed.success)
    throw broken(source, `it is no SARIF 2.1.0: ${z.prettifyError(parsed.error).split("\n")[0]}`);
  return parsed.data.runs.flatMap(({ tool, invocations, results }) => {
    const name = tool.driver.name ?? "the tool";
    if (invocations?.some((each) => !each.executionSuccessful))
      throw broken(source, `${name} says that it did not succeed`);
    if (results === undefined || results === null)
      throw broken(source, `${name} looked for nothing: there are no results`);
    return results.filter(counts).map((each): Finding => {
      const known = ruleOf(each, tool);
      const id = each.ruleId ?? each.rule?.id ?? known?.id ?? "no rule";
      return {
        ids: [...new Set([id, ...(known === undefined ? [] : [known.id]), ...cves(each.message?.text)])],
        severity: severityOf(each, known),
        where: placeOf(each),
        title: (each.message?.text ?? id).split("\n")[0]?.slice(0, 200) ?? id,
      };
    });
  });
}

type Result = z.output<typeof result>;
type Rule = z.output<typeof rule>;

/** What is no failure, was accepted, or is not there any more is no finding. */
function counts({ kind, baselineState, suppressions }: Result): boolean {
  if (kind !== undefined && kind !== "fail" && kind !== "open" && kind !== "review") return false;
  if (baselineState === "absent") return false;
  const all = suppressions ?? [];
  return all.length === 0 || all.some(({ status }) => status === "underReview" || status === "rejected");
}

function ruleOf(each: Result, tool: z.output<typeof run>["tool"]): Rule | undefined {
  const extension = each.rule?.toolComponent?.index;
  const own = extension === undefined ? tool.driver : tool.extensions?.[extension];
  const index = each.rule?.index ?? each.ruleIndex;
  const id = each.ruleId ?? each.rule?.id;
  if (index !== undefined && index >= 0) return own?.rules?.[index];
  const all = [tool.driver, ...(tool.extensions ?? [])].flatMap(({ rules }) => rules ?? []);
  // An id may be finer than its rule: CA1000/1 is of CA1000.
  return all.find((one) => one.id === id) ?? all.find((one) => id?.startsWith(`${one.id}/`));
}

/** By the score (CVSS) where there is one, as code hosts do, else by the level. */
function severityOf(each: Result, known: Rule | undefined): Severity {
  const score = Number(
    each.properties?.["security-severity"] ?? known?.properties?.["security-severity"] ?? Number.NaN,
  );
  if (score >= 9) return "critical";
  if (score >= 7) return "high";
  if (score >= 4) return "moderate";
  if (score > 0) return "low";
  const byLevel = { none: "info", note: "low", warning: "moderate", error: "high" } as const;
  return byLevel[each.level ?? known?.defaultConfiguration?.level ?? "warning"];
}

function placeOf({ locations }: Result): string {
  const place = locations?.[0]?.physicalLocation;
  const file = place?.artifactLocation?.uri ?? "no place";
  return place?.region?.startLine === undefined ? file : `${file}:${place.region.startLine}`;
}

function cves(text = ""): string[] {
  return text.match(/\b(?:CVE-\d{4}-\d+|GHSA-[\w-]{14})\b/g) ?? [];
}
