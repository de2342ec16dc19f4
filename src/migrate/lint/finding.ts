import { formatDiagnostic, type Position } from "../../core/diagnostic.ts";

export type Severity = "error" | "warning" | "note";

/** One thing that a rule has to say about a place in a migration. */
export type Finding = {
  /** Stable, for `-- ops: allow=RULE because …`. */
  readonly rule: string;
  readonly severity: Severity;
  /** Relative to the folder of .opsrc. */
  readonly file: string;
  readonly line: number;
  readonly column: number;
  /** What happens, and why that is bad. */
  readonly message: string;
  /** What to write instead. */
  readonly instead: string | null;
  readonly sourceLine: string;
  /** Why it is silenced; null where it is not. */
  readonly allowed: string | null;
};

/** What a rule says before it is known how it stands in the file. */
export type Remark = {
  readonly rule: string;
  readonly severity: Severity;
  readonly message: string;
  readonly instead: string | null;
  /** A UTF-16 index into the file's SQL. */
  readonly index: number;
};

/** With the place, a caret and what to write instead. */
export function formatFinding(finding: Finding): string {
  const position: Position = { line: finding.line, column: finding.column };
  const message = `${finding.severity}: ${finding.message} [${finding.rule}]`;
  const hint = finding.instead ?? undefined;
  return formatDiagnostic({ file: finding.file, position, message, hint, sourceLine: finding.sourceLine });
}

const rank: Record<Severity, number> = { error: 0, warning: 1, note: 2 };

export function worstFirst(a: Remark, b: Remark): number {
  return rank[a.severity] - rank[b.severity];
}
