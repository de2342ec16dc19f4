import { OpsError } from "../../core/errors.ts";
import type { SqlFile } from "../sql-file.ts";
import { placeOfIndex } from "../sql-position.ts";
import { nodeOf, type Statement, splitStatements } from "../statements.ts";
import { Domains } from "./domains.ts";
import { type Finding, type Remark, type Severity, worstFirst } from "./finding.ts";
import { answeredByDatabase, type Impact, onlyWithDatabase } from "./impact.ts";
import type { LiveDatabase, LiveTable, RelationName } from "./live-database.ts";
import { isSameRelation, type Made } from "./made.ts";
import { has } from "./node.ts";
import { NotNullChecks } from "./not-null-checks.ts";
import { squawkRemarks } from "./squawk.ts";
import { createdRelation, statementImpacts } from "./statement-impacts.ts";
import { type BigTable, describeTable, isBig } from "./table-size.ts";

export interface LintContext {
  /** Undefined where no database can be asked: squawk's own severities hold. */
  readonly database: LiveDatabase | undefined;
  readonly big: BigTable;
  /** Where squawk runs, and finds a `.squawk.toml`. */
  readonly directory: string;
  /** How a file is called in the findings. */
  readonly shown: (file: SqlFile) => string;
  readonly signal: AbortSignal;
}

/**
 * Lints files in the order in which they run: tables that an earlier one makes are new to the later ones.
 *
 * @param waysBack are looked at for what they lock and rewrite only: to destroy is what they are for. Warnings at most,
 * since they run on a bad day alone
 */
export async function lintFiles(
  files: readonly SqlFile[],
  context: LintContext,
  waysBack: readonly SqlFile[] = [],
): Promise<Finding[]> {
  const { database, directory, signal } = context;
  const version = database === undefined ? undefined : `${database.major}.0`;
  const fromSquawk = await squawkRemarks(files.map(withoutPlaceholders), version, directory, signal);
  const bySquawk = [...fromSquawk.values()];
  const made: Made = { relations: [], domains: new Domains(), notNullChecks: new NotNullChecks() };
  const findings: Finding[] = [];
  for (const [index, file] of files.entries()) {
    signal.throwIfAborted();
    const squawk = bySquawk[index] ?? [];
    const remarks = await remarksOn(withoutPlaceholders(file), squawk, made, context);
    const shown = context.shown(file);
    findings.push(...placed(file, remarks, shown));
    const broken = new Set([...remarks, ...squawk].map((each) => each.rule));
    const unused = unusedAllowances(file, broken, database !== undefined);
    findings.push(...unused.map((each) => finding(file, each, shown, null)));
  }
  for (const file of waysBack) {
    signal.throwIfAborted();
    const remarks = await remarksOn(withoutPlaceholders(file), [], made, context);
    const weighed = remarks
      .filter((each) => each.rule !== doBlock.rule)
      .map((each) => (each.severity === "error" ? { ...each, severity: "warning" as const } : each));
    findings.push(...placed(file, weighed, context.shown(file)));
  }
  return findings;
}

/** The bounds of a batch are no SQL; a parameter of the same length keeps every place where it is. */
function withoutPlaceholders(file: SqlFile): SqlFile {
  if (file.settings.batch === undefined) return file;
  const { name, checksum, settings, problems } = file;
  const sql = file.sql.replaceAll(/:batch_(start|end)\b/g, (found) => "$1".padEnd(found.length));
  return { name, checksum, settings, problems, sql };
}

async function remarksOn(
  file: SqlFile,
  squawk: readonly Remark[],
  made: Made,
  context: LintContext,
): Promise<Remark[]> {
  let statements: readonly Statement[];
  try {
    statements = await splitStatements(file.sql, { file: file.name });
  } catch (error) {
    if (error instanceof OpsError && error.code === "E_SQL_SYNTAX") return [syntaxRemark(file, error)];
    throw error;
  }
  const remarks: Remark[] = [];
  for (const statement of statements) {
    const created = createdRelation(statement);
    if (created !== undefined && !(await alreadyThere(statement, created, context)))
      made.relations.push(created);
    made.domains.note(statement);
    if (statement.kind === "DoStmt") remarks.push({ ...doBlock, index: statement.start });
    remarks.push(...(await liveRemarks(statement, made, context)));
    if (context.database !== undefined) await made.notNullChecks.note(statement, context.database);
  }
  const own: Remark[] = [];
  for (const remark of squawk) {
    const statement = statements.findLast((each) => each.start <= remark.index);
    const replaced =
      answeredByDatabase.has(remark.rule) &&
      statement !== undefined &&
      (await isKnown(statement, made.relations, context.database));
    if (!replaced) own.push(remark);
  }
  return [...remarks, ...own].sort((a, b) => a.index - b.index || worstFirst(a, b));
}

const doBlock = {
  rule: "do-block",
  severity: "note",
  message: "cannot look into a DO block: what it changes and locks is not known",
  instead: "write its statements out, or measure it: ops migrate test",
} as const;

/** Whether the database (or the files before) can tell how big the tables of the statement are. */
async function isKnown(
  statement: Statement,
  made: readonly RelationName[],
  database: LiveDatabase | undefined,
): Promise<boolean> {
  if (database === undefined) return false;
  const names = namedRelations(statement.node);
  for (const each of names) {
    if (!isMade(each, made) && (await database.table(each)) === undefined) return false;
  }
  return names.length > 0;
}

/** CREATE TABLE IF NOT EXISTS makes nothing of a table that the database has. */
async function alreadyThere(
  statement: Statement,
  created: RelationName,
  { database }: LintContext,
): Promise<boolean> {
  return has(nodeOf(statement), "if_not_exists") && (await database?.table(created)) !== undefined;
}

function isMade(relation: RelationName, made: readonly RelationName[]): boolean {
  return made.some((each) => isSameRelation(each, relation));
}

function namedRelations(value: unknown): RelationName[] {
  if (Array.isArray(value)) return value.flatMap(namedRelations);
  if (typeof value !== "object" || value === null) return [];
  const { relname, schemaname } = value as Readonly<Record<string, unknown>>;
  const own =
    typeof relname === "string"
      ? [{ schema: typeof schemaname === "string" ? schemaname : undefined, name: relname }]
      : [];
  return [...own, ...Object.values(value).flatMap(namedRelations)];
}

async function liveRemarks(
  statement: Statement,
  made: Made,
  { database, big }: LintContext,
): Promise<Remark[]> {
  if (database === undefined) return [];
  const remarks: Remark[] = [];
  for (const impact of await statementImpacts(statement, database, made)) {
    const table = isMade(impact.relation, made.relations) ? undefined : await database.table(impact.relation);
    const severity = table === undefined ? undefined : severityOf(impact, table, big);
    if (table === undefined || severity === undefined) continue;
    const { rule, does, instead } = impact;
    remarks.push({
      rule,
      severity,
      message: `${describeTable(table)}: ${does}`,
      instead,
      index: statement.start,
    });
  }
  return remarks;
}

/** Nothing to say about a moment's lock on a small table, or about what would fail on rows where there are none. */
function severityOf(impact: Impact, table: LiveTable, limit: BigTable): Severity | undefined {
  switch (impact.weight) {
    case "long":
      return isBig(table, limit) ? "error" : "note";
    case "short":
      if (!isBig(table, limit)) return undefined;
      return impact.rule === "foreign-key-to-big-table" ? "warning" : "note";
    case "fails":
      return table.rows === 0 ? undefined : "error";
  }
}

function syntaxRemark(file: SqlFile, error: OpsError): Remark {
  const { line = 1, column = 1 } = (error.details ?? {}) as { line?: number; column?: number };
  const lines = file.sql.split("\n");
  const before = lines.slice(0, line - 1).reduce((sum, each) => sum + each.length + 1, 0);
  const inLine = [...(lines[line - 1] ?? "")].slice(0, column - 1).join("").length;
  const message = error.message.split("\n")[0]?.replace(/^.*?:\d+:\d+: /, "") ?? error.message;
  return { rule: "syntax-error", severity: "error", message, instead: null, index: before + inLine };
}

/** With the reasons of the file's allowances. What is no SQL cannot be allowed. */
function placed(file: SqlFile, remarks: readonly Remark[], shown: string): Finding[] {
  const { allow } = file.settings;
  return remarks.map((remark) => {
    const allowance = allow.find((each) => each.rule === remark.rule && remark.rule !== "syntax-error");
    return finding(file, remark, shown, allowance?.because ?? null);
  });
}

/** An allowance for what another database breaks stays: production may be the only one with big tables. */
function unusedAllowances(file: SqlFile, broken: ReadonlySet<string>, withDatabase: boolean): Remark[] {
  return file.settings.allow
    .filter(({ rule }) => !broken.has(rule) && (withDatabase || !onlyWithDatabase.has(rule)))
    .map(({ rule }) => ({
      rule: "unused-allow",
      severity: "warning",
      message: `${rule} is allowed, but nothing here breaks it`,
      instead: "remove the line",
      index: Math.max(0, file.sql.indexOf(`allow=${rule}`)),
    }));
}

function finding(file: SqlFile, remark: Remark, shown: string, allowed: string | null): Finding {
  const { position, sourceLine } = placeOfIndex(file.sql, remark.index);
  const { rule, severity, message, instead } = remark;
  return { rule, severity, file: shown, ...position, message, instead, sourceLine, allowed };
}
