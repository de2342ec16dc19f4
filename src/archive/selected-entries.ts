import { UsageError } from "../core/errors.ts";
import { suggestion } from "../core/suggestion.ts";
import type { ArchiveEntry } from "./custom-format.ts";
import { type QualifiedName, schemaPattern, tablePattern } from "./name-pattern.ts";

export interface Wanted {
  readonly schemas: readonly string[];
  readonly tables: readonly string[];
}

export interface SelectedEntries {
  /** Dump ids, in the archive's order. */
  readonly entries: readonly number[];
  /** Whether the main archive has rows or sequence values of them. */
  readonly mainData: boolean;
  /** What has been asked for: these come with their rows. */
  readonly relations: readonly QualifiedName[];
  /** What those need: a parent table, a table that a view reads. These come without rows. */
  readonly needed: readonly QualifiedName[];
  /** Foreign keys to tables that stay away. */
  readonly leftOut: readonly string[];
}

const relationKinds = new Set(["TABLE", "FOREIGN TABLE", "VIEW", "MATERIALIZED VIEW", "SEQUENCE"]);
/** These belong to the relation that their tag begins with. */
const ownedByTag = new Set([
  "CONSTRAINT",
  "CHECK CONSTRAINT",
  "DEFAULT",
  "TRIGGER",
  "RULE",
  "POLICY",
  "ROW SECURITY",
]);
/** These belong to any relation that they need. */
const ownedByNeed = new Set(["INDEX", "STATISTICS"]);
/** These describe one object. */
const described = new Set(["ACL", "COMMENT", "SECURITY LABEL"]);
/** These tie objects together, and come when all of those do. */
const ties = new Set(["FK CONSTRAINT", "TABLE ATTACH", "INDEX ATTACH", "SEQUENCE OWNED BY", "SEQUENCE SET"]);
const rows = new Set(["TABLE DATA", "MATERIALIZED VIEW DATA"]);

/**
 * The part of an archive that belongs to some schemas and tables: with indexes, constraints, triggers, grants and
 * comments, with the partitions of a table, and with the types, functions, extensions and schemas that they need.
 * Throws `E_TABLE_UNKNOWN` where a pattern matches nothing.
 */
export function selectEntries(entries: readonly ArchiveEntry[], wanted: Wanted): SelectedEntries {
  const selection = new Selection(entries);
  for (const pattern of wanted.schemas) selection.schema(pattern);
  for (const pattern of wanted.tables) selection.table(pattern);
  return selection.finish();
}

class Selection {
  private readonly entries: readonly ArchiveEntry[];
  private readonly byId: ReadonlyMap<number, ArchiveEntry>;
  private readonly selected = new Set<ArchiveEntry>();
  private readonly asked = new Set<ArchiveEntry>();

  constructor(entries: readonly ArchiveEntry[]) {
    this.entries = entries;
    this.byId = new Map(entries.map((each) => [each.dumpId, each]));
  }

  schema(pattern: string): void {
    const matches = schemaPattern(pattern);
    const found = this.entries.filter((each) => each.schema !== "" && matches(each.schema));
    if (found.length === 0) {
      const names = new Set(this.entries.map((each) => each.schema).filter((each) => each !== ""));
      throw unknown("schema", pattern, names);
    }
    for (const entry of found) {
      if (isTie(entry) || rows.has(entry.description) || entry.description === "PUBLICATION TABLE") continue;
      if (relationKinds.has(entry.description)) this.ask(entry);
      else this.select(entry);
    }
  }

  table(pattern: string): void {
    const matches = tablePattern(pattern);
    const relations = this.entries.filter((each) => relationKinds.has(each.description));
    const found = relations.filter((each) => matches(nameOf(each)));
    if (found.length === 0) {
      const names = relations.flatMap((each) => [shown(nameOf(each)), each.tag]);
      throw unknown("table", pattern, names);
    }
    for (const entry of found) this.ask(entry);
  }

  finish(): SelectedEntries {
    for (let size = -1; size !== this.selected.size + this.asked.size; ) {
      size = this.selected.size + this.asked.size;
      for (const entry of this.entries) this.consider(entry);
    }
    const chosen = this.entries.filter((each) => this.selected.has(each));
    const relations = chosen.filter((each) => relationKinds.has(each.description));
    const left = this.entries.filter(
      (each) =>
        each.description === "FK CONSTRAINT" && !this.selected.has(each) && this.owner(each) !== undefined,
    );
    return {
      entries: chosen.map((each) => each.dumpId),
      mainData: chosen.some((each) => each.section === "data"),
      relations: relations.filter((each) => this.asked.has(each)).map(nameOf),
      needed: relations.filter((each) => !this.asked.has(each) && each.description === "TABLE").map(nameOf),
      leftOut: left.map((each) => `${each.schema}.${each.tag}`),
    };
  }

  private ask(entry: ArchiveEntry): void {
    this.asked.add(entry);
    this.select(entry);
  }

  /** With everything that it needs. */
  private select(entry: ArchiveEntry): void {
    if (this.selected.has(entry)) return;
    this.selected.add(entry);
    for (const each of this.needs(entry)) {
      if (!rows.has(each.description)) this.select(each);
    }
    const schema = this.entries.find((each) => each.description === "SCHEMA" && each.tag === entry.schema);
    if (schema !== undefined) this.select(schema);
  }

  /** Comes along with what is selected already. */
  private consider(entry: ArchiveEntry): void {
    const { description } = entry;
    if (description === "TABLE ATTACH") this.considerPartition(entry);
    if (this.selected.has(entry)) return;
    const needs = this.needs(entry);
    const hasAny = needs.some((each) => this.selected.has(each));
    const hasAll = hasAny && needs.every((each) => this.selected.has(each));
    if (rows.has(description)) {
      if (needs.some((each) => this.asked.has(each))) this.selected.add(entry);
    } else if (isTie(entry)) {
      if (hasAll) this.select(entry);
    } else if (described.has(description)) {
      if (hasAny) this.select(entry);
    } else if (ownedByTag.has(description)) {
      if (this.owner(entry) !== undefined) this.select(entry);
    } else if (ownedByNeed.has(description) || isIdentity(entry)) {
      const ofSelected = needs.some((each) => relationKinds.has(each.description) && this.selected.has(each));
      if (ofSelected) this.select(entry);
    }
  }

  /** A partitioned table has its rows in its partitions. */
  private considerPartition(attach: ArchiveEntry): void {
    const tables = this.needs(attach).filter((each) => each.description === "TABLE");
    const child = tables.find((each) => each.schema === attach.schema && each.tag === attach.tag);
    const parent = tables.find((each) => each !== child);
    if (child !== undefined && parent !== undefined && this.asked.has(parent)) this.ask(child);
  }

  /** The selected relation that a constraint, a trigger, … is one of. */
  private owner(entry: ArchiveEntry): ArchiveEntry | undefined {
    return this.needs(entry).find(
      (each) =>
        relationKinds.has(each.description) &&
        this.selected.has(each) &&
        each.schema === entry.schema &&
        (entry.tag === each.tag || entry.tag.startsWith(`${each.tag} `)),
    );
  }

  private needs(entry: ArchiveEntry): ArchiveEntry[] {
    return entry.dependencies
      .map((id) => this.byId.get(id))
      .filter((each): each is ArchiveEntry => each !== undefined);
  }
}

const isTie = (entry: ArchiveEntry) => ties.has(entry.description);

/** The sequence of an identity column is made by altering its table. */
const isIdentity = (entry: ArchiveEntry) =>
  entry.description === "SEQUENCE" && /^ALTER TABLE/m.test(entry.definition);

const nameOf = (entry: ArchiveEntry): QualifiedName => ({ schema: entry.schema, name: entry.tag });
const shown = ({ schema, name }: QualifiedName) => `${schema}.${name}`;

function unknown(what: "schema" | "table", pattern: string, names: Iterable<string>): UsageError {
  return new UsageError("E_TABLE_UNKNOWN", `The backup has no ${what} that matches ${pattern}`, {
    hint: suggestion(pattern.replaceAll('"', ""), names),
  });
}
