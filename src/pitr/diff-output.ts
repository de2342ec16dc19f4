import { z } from "zod";
import { formatDuration } from "../core/duration.ts";
import type { Difference, MergeCounts } from "./row-merge.ts";
import { fieldsOf, type RowText } from "./row-text.ts";
import type { TableShape } from "./table-shape.ts";

const rowSchema = z.record(z.string(), z.string().nullable());

const comparisonSchema = z.object({
  rows: z.object({ before: z.number(), after: z.number() }).describe("That were compared"),
  removed: z.number().describe("Rows that were there then and are not now"),
  added: z.number(),
  changed: z.number().describe("Rows with the same key and another value"),
  unchanged: z.number(),
  columns: z.object({
    added: z.array(z.string()).describe("Since then; not compared"),
    removed: z.array(z.string()).describe("Since then; not compared"),
    retyped: z.array(z.object({ name: z.string(), before: z.string(), after: z.string() })),
  }),
  shown: z
    .object({
      removed: z.array(rowSchema),
      added: z.array(rowSchema),
      changed: z.array(z.object({ key: rowSchema, before: rowSchema, after: rowSchema })),
    })
    .describe("The first rows of each kind, by key; values as PostgreSQL writes them. Never in a journal"),
});

export const diffOutput = z.object({
  database: z.string(),
  table: z.string(),
  moment: z.string(),
  base: z.string().describe("The base backup that it was restored from"),
  lastTransaction: z.string().nullable().describe("When the last transaction before the moment committed"),
  key: z.array(z.string()),
  ...comparisonSchema.shape,
  durationMs: z.number(),
});

export type DiffOutput = z.output<typeof diffOutput>;
type Row = z.output<typeof rowSchema>;
type Comparison = z.output<typeof comparisonSchema>;

/** Counts the differences and keeps the first ones of each kind. */
export class Comparing {
  /** The columns that are compared: those that are there then and now, by name. */
  readonly columns: readonly string[];
  readonly counts: MergeCounts = { before: 0, after: 0 };
  private readonly former: TableShape;
  private readonly current: TableShape;
  private readonly key: readonly string[];
  private readonly limit: number;
  private removed = 0;
  private added = 0;
  private changed = 0;
  private readonly shown: Comparison["shown"] = { removed: [], added: [], changed: [] };

  constructor(then: TableShape, now: TableShape, key: readonly string[], limit: number) {
    this.former = then;
    this.current = now;
    this.key = key;
    this.limit = limit;
    this.columns = then.columns.map((each) => each.name).filter((name) => now.columns.some(named(name)));
  }

  add(difference: Difference): void {
    switch (difference.kind) {
      case "removed":
        this.removed += 1;
        if (this.removed <= this.limit) this.shown.removed.push(this.row(difference.before));
        return;
      case "added":
        this.added += 1;
        if (this.added <= this.limit) this.shown.added.push(this.row(difference.after));
        return;
      case "changed":
        this.changed += 1;
        if (this.changed <= this.limit) this.shown.changed.push(this.change(difference));
    }
  }

  result(): Comparison {
    const { former, current, removed, added, changed } = this;
    return {
      rows: { ...this.counts },
      removed,
      added,
      changed,
      unchanged: this.counts.before - removed - changed,
      columns: {
        added: current.columns.map((each) => each.name).filter((name) => !former.columns.some(named(name))),
        removed: former.columns.map((each) => each.name).filter((name) => !current.columns.some(named(name))),
        retyped: former.columns.flatMap(({ name, type }) => {
          const today = current.columns.find(named(name));
          return today === undefined || today.type === type
            ? []
            : [{ name, before: type, after: today.type }];
        }),
      },
      shown: this.shown,
    };
  }

  private row(text: RowText): Row {
    const values = fieldsOf(text).slice(this.key.length);
    return Object.fromEntries(this.columns.map((name, index) => [name, values[index] ?? null]));
  }

  private change({
    before,
    after,
  }: Extract<Difference, { kind: "changed" }>): Comparison["shown"]["changed"][number] {
    const [then, now] = [this.row(before), this.row(after)];
    const differing = this.columns.filter((name) => then[name] !== now[name]);
    const only = (row: Row, names: readonly string[]) =>
      Object.fromEntries(names.map((name) => [name, row[name] ?? null]));
    return { key: only(then, this.key), before: only(then, differing), after: only(now, differing) };
  }
}

const named = (name: string) => (column: { readonly name: string }) => column.name === name;

/** Letters of a value that are shown at most. */
const widest = 40;

export function renderDiff(found: DiffOutput): string {
  const { removed, added, changed, unchanged, columns, shown } = found;
  const total = `${found.table} since ${found.moment}: ${removed} removed, ${added} added, ${changed} changed, ${unchanged} the same`;
  return [
    total,
    ...columns.added.map((each) => `  column ${each} is new; it is not compared`),
    ...columns.removed.map((each) => `  column ${each} is gone; it is not compared`),
    ...columns.retyped.map((each) => `  column ${each.name} was ${each.before}, is ${each.after}`),
    ...section("removed", removed, shown.removed.length, table(shown.removed, "-")),
    ...section("added", added, shown.added.length, table(shown.added, "+")),
    ...section("changed", changed, shown.changed.length, changes(shown.changed)),
    `compared by ${found.key.join(", ")} with base backup ${found.base} in ${formatDuration(found.durationMs)}`,
  ].join("\n");
}

function section(title: string, count: number, shown: number, lines: readonly string[]): string[] {
  if (shown === 0) return [];
  const more = count > shown ? [`  … and ${count - shown} more (--limit)`] : [];
  return ["", `${title}:`, ...lines, ...more];
}

function table(rows: readonly Row[], sign: string): string[] {
  const names = Object.keys(rows[0] ?? {});
  const cells = rows.map((row) => names.map((name) => shownValue(row[name] ?? null)));
  const widths = names.map((name, index) =>
    Math.max(shownValue(name).length, ...cells.map((each) => each[index]?.length ?? 0)),
  );
  const line = (values: readonly string[]) =>
    values
      .map((value, index) => value.padEnd(widths[index] ?? 0))
      .join("  ")
      .trimEnd();
  return [`  ${line(names.map(shownValue))}`, ...cells.map((each) => `${sign} ${line(each)}`)];
}

function changes(rows: Comparison["shown"]["changed"]): string[] {
  return rows.map(({ key, before, after }) => {
    const name = Object.entries(key).map(([column, value]) => `${column}=${shownValue(value)}`);
    const values = Object.keys(before).map(
      (column) => `${column}: ${shownValue(before[column] ?? null)} → ${shownValue(after[column] ?? null)}`,
    );
    return `~ ${name.join(" ")}  ${values.join(", ")}`;
  });
}

/** What a value holds must not move the cursor or colour the terminal. */
function shownValue(value: string | null): string {
  if (value === null) return "NULL";
  const plain = value.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, (letter) =>
    letter === "\n" ? "\\n" : `\\u{${(letter.codePointAt(0) ?? 0).toString(16)}}`,
  );
  return plain.length > widest ? `${plain.slice(0, widest - 1)}…` : plain;
}
