import { randomBytes } from "node:crypto";
import { mkdir, open, readdir, readFile, rename, rm } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { canonicalJson, digest } from "../core/digest.ts";
import type { OperationContext } from "../run/context.ts";
import { type Migration, title } from "./migration-file.ts";
import { type MigrationTestReport, reportSchema, type TestedFile } from "./report.ts";

/** Where reports live; every `.json` file in it is read, so one from CI can be put there. */
export function reportFolder(context: OperationContext): string {
  return join(context.stateDirectory, "migration-tests");
}

export function testedFile({ version, name, up, down, verify }: Migration): TestedFile {
  return {
    version,
    name,
    up: up.checksum,
    down: down?.checksum ?? null,
    verify: verify?.checksum ?? null,
  };
}

/** Of the checksums of all files: equal exactly where the same files were tested. */
export function filesDigest(files: readonly TestedFile[]): string {
  return digest(canonicalJson([...files]));
}

/** Returns the path of the report, which is whole from the moment it is there. */
export async function writeReport(context: OperationContext, report: MigrationTestReport): Promise<string> {
  const time = report.finishedAt.replaceAll(/[-:]|\.\d+/g, "");
  const name = `${report.database}-${report.digest.slice(7, 23)}-${time}.json`;
  const path = join(reportFolder(context), name);
  await writeReportFile(path, report);
  return path;
}

export async function writeReportFile(path: string, report: MigrationTestReport): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  const unfinished = join(dirname(path), `.${basename(path)}.${randomBytes(4).toString("hex")}`);
  try {
    await using file = await open(unfinished, "w", 0o600);
    await file.writeFile(`${JSON.stringify(report, null, 2)}\n`);
    await file.sync();
    await rename(unfinished, path);
  } catch (error) {
    await rm(unfinished, { force: true });
    throw error;
  }
}

export interface StoredReport {
  readonly path: string;
  readonly report: MigrationTestReport;
}

/** The reports about a database of this environment, newest first. What is no report of this format is left alone. */
export async function readReports(context: OperationContext, database: string): Promise<StoredReport[]> {
  const folder = reportFolder(context);
  const names = await readdir(folder).catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return [];
    throw error;
  });
  const found: StoredReport[] = [];
  for (const name of names.filter((each) => each.endsWith(".json") && !each.startsWith("."))) {
    const path = join(folder, name);
    const report = decode(await readFile(path, "utf8"));
    if (report?.database === database && report.environment === context.environment.name) {
      found.push({ path, report });
    }
  }
  return found.sort((a, b) => Date.parse(b.report.finishedAt) - Date.parse(a.report.finishedAt));
}

function decode(text: string): MigrationTestReport | undefined {
  try {
    return reportSchema.safeParse(JSON.parse(text)).data;
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}

/** Whether the report is about exactly these files of the migration. */
export function isTested(report: MigrationTestReport, migration: Migration): boolean {
  const wanted = canonicalJson(testedFile(migration));
  return report.files.some((each) => canonicalJson(each) === wanted);
}

export interface Coverage {
  /** Pending migrations that were not tested, or not with these files. */
  readonly untested: readonly Migration[];
  /** What was tested and is neither pending nor applied: titles. */
  readonly strange: readonly string[];
}

/** How far a report speaks for these pending migrations. It covers them where both lists are empty. */
export function coverage(
  report: MigrationTestReport,
  pending: readonly Migration[],
  applied: readonly Migration[],
): Coverage {
  const known = new Set([...applied, ...pending].map((each) => each.version));
  return {
    untested: pending.filter((each) => !isTested(report, each)),
    strange: report.files.filter((each) => !known.has(each.version)).map(title),
  };
}
