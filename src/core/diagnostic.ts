import { UsageError } from "./errors.ts";

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
    lines.push(`  ${gutter} | ${sourceLine}`, `  ${blank} | ${" ".repeat(position.column - 1)}^`);
  }
  if (hint !== undefined) lines.push(`  ${blank} = ${hint}`);
  return lines.join("\n");
}

/** All mistakes of one or several files, thrown together so that they can be mended together. */
export class DiagnosticsError extends UsageError {
  readonly diagnostics: readonly Diagnostic[];

  constructor(code: `E_${string}`, diagnostics: readonly Diagnostic[]) {
    const sorted = [...diagnostics].sort(
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
