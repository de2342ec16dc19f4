import type { CoverageSources } from "./coverage-source.ts";
import type { ReportFile } from "./report-file.ts";
import { broken, countOf, elements, readXml, type XmlElement } from "./xml.ts";

export const metrics = ["lines", "branches", "functions"] as const;
export type Metric = (typeof metrics)[number];

/** Of a source file; by key (a line's number, a branch's place, a function's name) whether it was ever executed. */
type Places = Map<string, boolean>;
export type SourceCoverage = Record<Metric, Places>;

/** What was covered, by source file (as `CoverageSources` tells them apart); several reports of the same sources add up instead of counting twice. */
export type Coverage = Map<string, SourceCoverage>;

export type CoverageTotal = { readonly covered: number; readonly total: number };

/** Sums over all sources: never a mean of percentages, which a small file moves as much as a large one. */
export function totalOf(coverage: Coverage, metric: Metric): CoverageTotal {
  let covered = 0;
  let total = 0;
  for (const source of coverage.values()) {
    total += source[metric].size;
    for (const hit of source[metric].values()) if (hit) covered += 1;
  }
  return { covered, total };
}

/** lcov's tracefile or Cobertura's XML, as the file looks. Throws `E_REPORT_BROKEN`. */
export async function readCoverage(
  file: ReportFile,
  into: Coverage,
  sources: CoverageSources,
): Promise<{ format: string; at: number | undefined }> {
  if (file.text.trim() === "") throw broken(file, "it is empty");
  if (!file.text.trimStart().startsWith("<")) {
    readLcov(file, into, sources);
    return { format: "lcov", at: undefined };
  }
  const root = await readXml(file);
  if (
    root.name !== "coverage" ||
    elements(root, "class").length + (countOf(root, "lines-valid") ?? 0) === 0
  ) {
    const what = root.name === "coverage" ? "it names no class and no lines" : `its root is <${root.name}>`;
    throw broken(file, `${what}: write lcov or Cobertura's XML`);
  }
  readCobertura(file, root, into, sources);
  const stamp = Number(root.attributes.timestamp);
  // Cobertura itself counts milliseconds, others seconds.
  const at = Number.isFinite(stamp) && stamp > 0 ? (stamp > 1e11 ? stamp : stamp * 1000) : undefined;
  return { format: "cobertura", at };
}

/** A sum that stands alone is counted out one by one: what is larger was made to hang whoever reads it. */
const mostCounted = 2_000_000;
const mostBranches = 10_000;

function sourceOf(coverage: Coverage, path: string): SourceCoverage {
  const known = coverage.get(path);
  if (known !== undefined) return known;
  const made = emptySource();
  coverage.set(path, made);
  return made;
}

function hit(places: Places, key: string, executed: boolean): void {
  places.set(key, (places.get(key) ?? false) || executed);
}

type LcovRecord = {
  readonly path: string;
  readonly key: string;
  readonly own: SourceCoverage;
  readonly sums: Record<string, number>;
};

function readLcov(file: ReportFile, into: Coverage, sources: CoverageSources): void {
  let record: LcovRecord | undefined;
  let room = mostCounted;
  for (const [index, raw] of file.text.split("\n").entries()) {
    const line = raw.trim();
    if (line === "" || line.startsWith("#")) continue;
    const wrong = (why: string) => broken(file, `line ${index + 1}: ${why}`);
    if (line.startsWith("SF:")) {
      if (record !== undefined) throw wrong("the record before it has no end_of_record");
      record = { path: line.slice(3), key: sources.keyOf(file, line.slice(3)), own: emptySource(), sums: {} };
    } else if (line === "end_of_record") {
      if (record === undefined) throw wrong("a record ends that never began");
      room -= addRecord(record, into, room, wrong);
      record = undefined;
    } else if (record === undefined ? !/^(TN|VER):/.test(line) : !readLine(line, record)) {
      throw wrong(`this is no line of lcov: ${line.slice(0, 60)}`);
    }
  }
  if (record !== undefined) throw broken(file, "it ends in the middle of a record, end_of_record is missing");
}

/** False for what is no line of a record (geninfo(1)). */
function readLine(line: string, { own, sums }: LcovRecord): boolean {
  const [, key = "", rest = ""] = /^([A-Z]+):(.*)$/.exec(line) ?? [];
  const fields = rest.split(",");
  const [first = "", second = "", third = "", fourth = ""] = fields;
  switch (key) {
    case "DA":
      hit(own.lines, first, Number(second) > 0);
      return /^\d+$/.test(first) && /^-?\d+$/.test(second);
    case "BRDA":
      hit(own.branches, `${first},${second},${third}`, fourth !== "-" && Number(fourth) > 0);
      return /^\d+$/.test(first) && fourth !== "";
    case "FN":
      // The second number, of lcov 2, is the function's last line.
      hit(own.functions, fields.slice(/^\d+$/.test(second) && fields.length > 2 ? 2 : 1).join(","), false);
      return /^\d+$/.test(first);
    case "FNDA":
      hit(own.functions, fields.slice(1).join(","), Number(first) > 0);
      return /^\d+$/.test(first);
    case "FNA":
      hit(own.functions, fields.slice(2).join(","), Number(second) > 0);
      return /^\d+$/.test(second);
    case "LF":
    case "LH":
    case "BRF":
    case "BRH":
    case "FNF":
    case "FNH":
      sums[key] = Number(first);
      return /^\d+$/.test(first);
    default:
      return key !== "";
  }
}

/** Sums are only gone by where nothing is listed that they could be the sums of. How much was counted from them. */
function addRecord(
  { path, key, own, sums }: LcovRecord,
  into: Coverage,
  room: number,
  wrong: (why: string) => Error,
): number {
  const source = sourceOf(into, key);
  let summed = 0;
  for (const [metric, all, covered] of [
    ["lines", "LF", "LH"],
    ["branches", "BRF", "BRH"],
    ["functions", "FNF", "FNH"],
  ] as const) {
    for (const [place, executed] of own[metric]) hit(source[metric], place, executed);
    const count = sums[all] ?? 0;
    if (own[metric].size > 0 || count === 0) continue;
    if (source[metric].size > 0)
      throw wrong(`${path} is there twice, once without its ${metric}: they cannot be added`);
    if ((sums[covered] ?? 0) > count) throw wrong(`${covered} is greater than ${all}`);
    summed += count;
    if (summed > room) throw wrong(`${all} is ${count}, which is more than can be added up`);
    for (let index = 0; index < count; index += 1)
      source[metric].set(`#${index}`, index < (sums[covered] ?? 0));
  }
  return summed;
}

function readCobertura(file: ReportFile, root: XmlElement, into: Coverage, sources: CoverageSources): void {
  const classes = elements(root, "class");
  const roots = elements(root, "source").map(({ text }) => text);
  const read = new Set<SourceCoverage>();
  for (const [index, each] of classes.entries()) {
    const { filename } = each.attributes;
    const key =
      filename === undefined ? `class ${index} of ${file.shown}` : sources.keyOf(file, filename, roots);
    const source = sourceOf(into, key);
    read.add(source);
    // Lines stand below the class and, once more, below its methods.
    const own = each.children.filter((child) => child.name === "lines").flatMap((child) => child.children);
    const methods = elements(each, "method");
    const lines = own.length > 0 ? own : methods.flatMap((method) => elements(method, "line"));
    for (const line of lines) {
      if (!readCoberturaLine(source, line))
        throw broken(file, "a line has more branches than a line can have");
    }
    for (const method of methods) {
      const { name = "", signature = "" } = method.attributes;
      const executed = elements(method, "line").some((line) => Number(line.attributes.hits) > 0);
      hit(source.functions, `${each.attributes.name ?? ""}.${name}${signature}`, executed);
    }
  }
  // Some write the sums alone.
  for (const [metric, all, covered] of [
    ["lines", "lines-valid", "lines-covered"],
    ["branches", "branches-valid", "branches-covered"],
  ] as const) {
    const count = countOf(root, all) ?? 0;
    const hits = countOf(root, covered) ?? 0;
    if (count === 0 || [...read].some((each) => each[metric].size > 0)) continue;
    if (hits > count) throw broken(file, `${covered} is greater than ${all}`);
    if (count > mostCounted) throw broken(file, `${all} is ${count}, which is more than can be added up`);
    const source = sourceOf(into, `all of ${file.shown}`);
    for (let index = 0; index < count; index += 1) source[metric].set(`#${index}`, index < hits);
  }
}

/** `condition-coverage="50% (1/2)"` counts the branches of a line, not which of them. False where it is out of reason. */
function readCoberturaLine(source: SourceCoverage, { attributes }: XmlElement): boolean {
  const { number = "", hits = "" } = attributes;
  hit(source.lines, number, Number(hits) > 0);
  const [, covered, total] = /\((\d+)\/(\d+)\)/.exec(attributes["condition-coverage"] ?? "") ?? [];
  if (covered === undefined || total === undefined) return true;
  if (Number(total) > mostBranches) return false;
  for (let index = 0; index < Number(total); index += 1) {
    hit(source.branches, `${number},${index}`, index < Number(covered));
  }
  return true;
}

function emptySource(): SourceCoverage {
  return { lines: new Map(), branches: new Map(), functions: new Map() };
}
