import type { SqlFile } from "./sql-file.ts";
import type { Statement } from "./statements.ts";

/** A file that runs statement by statement. */
export interface StatementUnit {
  readonly version: string;
  readonly name: string;
  readonly direction: "up" | "down";
  readonly file: SqlFile;
  readonly statements: readonly Statement[];
  /** Proves the whole file before it is recorded. */
  readonly verify: () => Promise<void>;
  /** SQL that records the whole file, in the transaction that forgets the place in it. */
  readonly record: (durationMs: number) => string;
}
