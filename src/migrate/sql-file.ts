import { digest } from "../core/digest.ts";
import { defaultSettings, type Header, type MigrationSettings, readHeader } from "./header.ts";
import { withoutLineEnds } from "./line-ends.ts";
import type { Problem } from "./problem.ts";

/**
 * The SQL of one direction of a migration, with `\n` at the ends of lines outside of strings. Where a
 * file holds several directions, the lines of the others are empty, so that places in the SQL are places in the file.
 */
export interface SqlFile {
  /** Relative to the folder: `0002_add_orders.up.sql`. */
  readonly name: string;
  readonly sql: string;
  /** `sha256:…` of `sql`, without the empty lines around it; all line ends count as `\n`, in strings too. */
  readonly checksum: string;
  readonly settings: MigrationSettings;
  /** What makes it unusable. */
  readonly problems: readonly Problem[];
}

/** What another tool's marks in the file say, which our own header overrides. */
export type ForeignSettings = Partial<Pick<MigrationSettings, "transaction">>;

/**
 * @param read the text; undefined where its bytes are no text that PostgreSQL can read. Called when the text is first
 * needed: a way back that nobody goes is never read.
 * @param problems what is known of it without its text
 */
export function sqlFile(
  name: string,
  read: () => string | undefined,
  foreign: ForeignSettings = {},
  problems: readonly Problem[] = [],
): SqlFile {
  return new LazySqlFile(name, read, foreign, problems);
}

/** Whether a checksum in the history is that of a file, also as it was once made: with the empty lines below the SQL. */
export function hasChecksum(file: SqlFile, recorded: string): boolean {
  return recorded === file.checksum || recorded === digest(withoutLineEnds(file.sql).replace(/^\n+/, ""));
}

class LazySqlFile implements SqlFile {
  readonly name: string;
  readonly #read: () => string | undefined;
  readonly #foreign: ForeignSettings;
  readonly #problems: readonly Problem[];
  #text: { readonly sql: string | undefined } | undefined;
  #header: Header | undefined;
  #checksum: string | undefined;

  constructor(
    name: string,
    read: () => string | undefined,
    foreign: ForeignSettings,
    problems: readonly Problem[],
  ) {
    this.name = name;
    this.#read = read;
    this.#foreign = foreign;
    this.#problems = problems;
  }

  get sql(): string {
    this.#text ??= { sql: this.#read() };
    return this.#text.sql ?? "";
  }

  get checksum(): string {
    this.#checksum ??= digest(withoutLineEnds(this.sql).replace(/^\n+/, "").replace(/\n+$/, ""));
    return this.#checksum;
  }

  get settings(): MigrationSettings {
    const { settings } = this.header();
    return settings.transaction === defaultSettings.transaction
      ? { ...settings, ...this.#foreign }
      : settings;
  }

  get problems(): readonly Problem[] {
    const { problems } = this.header();
    if (this.#text?.sql !== undefined) return [...this.#problems, ...problems];
    return [
      {
        kind: "file-encoding",
        message: `${this.name} is not UTF-8 text`,
        hint: "save it as UTF-8 without NUL bytes",
      },
    ];
  }

  private header(): Header {
    this.#header ??= readHeader(this.sql, this.name);
    return this.#header;
  }
}
