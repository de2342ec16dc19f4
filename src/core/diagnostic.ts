import { UsageError } from "./errors.ts";
import { redactSourceLine } from "./redaction.ts";

/** Line and column count from 1, as editors do. */
export interface Position {
  readonly line: number;
  readonly column: number;
}

/** One mistake in a file that a person wrote, with the place and the way out. */
export interface Diagnostic {
  readonly file: string;
  readonly position: Position;
  readonly message: string;
  /** What to write instead. */
  readonly hint?: string | undefined;
  /** The line of source the caret points into. */
  readonly sourceLine?: string | undefined;
}

/**
 * ```
 * deploy.yaml:7:5: unknown key "use"
 *   7 |     use: backup.create
 *     |     ^
 *     = did you mean "uses"?
 * ```
 */
export function formatDiagnostic(diagnostic: Diagnostic): string {
  const { file, position, message, hint, sourceLine } = diagnostic;
  const lines = [`${file}:${position.line}:${position.column}: ${message}`];
  const gutter = String(position.line);
  const blank = " ".repeat(gutter.length);
  if (sourceLine !== undefined) {
    const shown = redactSourceLine(sourceLine);
    lines.push(`  ${gutter} | ${shown}`, `  ${blank} | ${caret(sourceLine, shown, position.column)}`);
  }
  if (hint !== undefined) lines.push(`  ${blank} = ${hint}`);
  return lines.join("\n");
}

/** Under the same character as in the file, also where a secret before it was masked; tabs stay tabs. */
function caret(sourceLine: string, shown: string, column: number): string {
  const before = redactSourceLine(sourceLine.slice(0, column - 1));
  const indent = shown.startsWith(before) ? before : sourceLine.slice(0, column - 1);
  return `${indent.replaceAll(/[^\t]/g, blankAsWide)}^`;
}

/** As many columns as a terminal gives the character: two for an East Asian one, none for a mark on the one before. */
function blankAsWide(unit: string): string {
  if (/[\u0300-\u036f]|\u200d|\ufe0f/.test(unit)) return "";
  return /[\u1100-\u115f\u2e80-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60]/.test(unit)
    ? "  "
    : " ";
}

/** All mistakes of one or several files, thrown together so that they can be mended together. */
export class DiagnosticsError extends UsageError {
  readonly diagnostics: readonly Diagnostic[];

  constructor(code: `E_${string}`, diagnostics: readonly Diagnostic[]) {
    const sorted = [...new Map(diagnostics.map((each) => [formatDiagnostic(each), each])).values()].sort(
      (a, b) =>
        a.file.localeCompare(b.file) ||
        a.position.line - b.position.line ||
        a.position.column - b.position.column,
    );
    super(code, sorted.map(formatDiagnostic).join("\n"), {
      details: sorted.map(({ file, position, message, hint }) => ({ file, ...position, message, hint })),
    });
    this.name = "DiagnosticsError";
    this.diagnostics = sorted;
  }
}
