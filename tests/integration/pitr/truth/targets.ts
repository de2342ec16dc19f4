import { formatLsn, type Lsn, lsn, parseLsn } from "../../../../src/wal-archive/lsn.ts";
import type { History } from "./history.ts";
import type { Random } from "./random.ts";
import type { WrittenRow } from "./writer.ts";

/** A moment to restore to, as the command is asked for it, and the rows that were committed by then. */
export interface Target {
  readonly input: Readonly<Record<string, string | number | boolean>>;
  /** By number. */
  readonly rows: readonly number[];
}

/** A row of a timeline: what its writer saw, and when the server says that it was committed. */
interface KnownRow extends WrittenRow {
  /** Microseconds since 1970. */
  readonly at: bigint;
}

type Kind = "time" | "lsn" | "name" | "transaction" | "latest";
const kinds: readonly Kind[] = [
  ...Array<Kind>(8).fill("time"),
  ...Array<Kind>(6).fill("lsn"),
  ...Array<Kind>(3).fill("name"),
  ...Array<Kind>(2).fill("transaction"),
  "latest",
];

/** How far a commit may reach that was asked for and never acknowledged: milliseconds and bytes. */
const unknownTime = 1000;
const unknownBytes = 2n ** 20n;
/** No transaction is open for so long, in milliseconds. */
const longestOpen = 5000;

/**
 * Picks moments of which it is known which rows belong to them. The knowledge is the writers' own; the only thing that
 * the server is asked for is the time of each commit, which must lie between what the writer saw before and behind it.
 * A moment at which two transactions were ending is not picked: who looks from outside cannot tell their order.
 */
export class Targets {
  private readonly history: History;
  private readonly random: Random;
  private readonly timelines: ReadonlyMap<number, readonly KnownRow[]>;
  private readonly newest: number;

  constructor(history: History, random: Random) {
    this.history = history;
    this.random = random;
    const written = new Map(history.writers.flatMap((each) => [...each.log]));
    this.timelines = new Map(
      [...history.timelines].map(([timeline, rows]) => {
        const known = [...rows].map(([n, { at }]) => {
          const row = written.get(n);
          if (row === undefined) throw new Error(`row ${n} was committed although nobody asked for it`);
          return { ...row, at };
        });
        return [timeline, known.sort((one, other) => one.n - other.n)];
      }),
    );
    this.newest = Math.max(...this.timelines.keys());
  }

  /** What the server says of its commits against what the writers saw. Throws where they disagree. */
  check(): void {
    for (const rows of this.timelines.values()) {
      for (const { n, at, sentAt, ackAt } of rows) {
        if (at < BigInt(sentAt) * 1000n || (ackAt !== undefined && at > BigInt(ackAt) * 1000n))
          throw new Error(`row ${n} was committed at ${at}, but between ${sentAt} and ${ackAt}`);
      }
    }
    const anywhere = new Set([...this.timelines.values()].flat().map((each) => each.n));
    for (const { log } of this.history.writers) {
      for (const { n, ackAt } of log.values())
        if (ackAt !== undefined && !anywhere.has(n)) throw new Error(`row ${n} was acknowledged and is lost`);
    }
  }

  /** Rows that only the timeline has that was left behind. */
  get leftBehind(): readonly number[] {
    const newest = new Set(this.rowsOf(this.newest).map((each) => each.n));
    return this.rowsOf(1).flatMap(({ n }) => (newest.has(n) ? [] : [n]));
  }

  pick(count: number): Target[] {
    // The end of both timelines, and then whatever comes.
    const targets = [this.latest(1), this.latest(this.newest)].slice(0, Math.max(0, count - 2));
    while (targets.length < count) {
      const timeline = this.random.next() < 0.25 ? 1 : this.newest;
      const target = this.one(this.random.pick(kinds), timeline);
      if (target !== undefined) targets.push(target);
    }
    return targets;
  }

  private one(kind: Kind, timeline: number): Target | undefined {
    switch (kind) {
      case "time":
        return this.time(timeline);
      case "lsn":
        return this.position(timeline);
      case "name":
        return this.name();
      case "transaction":
        return this.transaction(timeline);
      case "latest":
        return this.latest(timeline);
    }
  }

  private latest(timeline: number): Target {
    return { input: this.input({ latest: true }, timeline), rows: this.rowsOf(timeline).map(({ n }) => n) };
  }

  /** Any moment, that of a commit, or a microsecond before it. */
  private time(timeline: number): Target | undefined {
    const rows = this.rowsOf(timeline);
    const [first] = this.history.bases;
    const from = BigInt(Date.parse(first?.restorableFrom ?? "")) * 1000n;
    // A moment behind the last transaction is refused.
    const until = rows.reduce((latest, { at }) => (at > latest ? at : latest), 0n) - 1n;
    const way = this.random.below(3);
    const at =
      way === 0 ? this.random.between(from, until) : this.random.pick(rows).at - (way === 1 ? 0n : 1n);
    if (at < from || at > until) return undefined;
    const ends = [...rows, ...this.history.writers.flatMap((each) => each.rolledBack)];
    const under = ends.filter(
      ({ sentAt, ackAt = sentAt + unknownTime }) =>
        BigInt(sentAt) * 1000n <= at && at <= BigInt(ackAt) * 1000n,
    );
    if (under.length > 1) return undefined;
    return {
      input: this.input({ "to-time": shownTime(at) }, timeline),
      rows: rows.flatMap((each) => (each.at <= at ? [each.n] : [])),
    };
  }

  /** Any position, the one right before a commit, or right behind it. */
  private position(timeline: number): Target | undefined {
    const rows = this.rowsOf(timeline);
    const row = this.random.pick(rows);
    const [first] = this.history.bases;
    const from = parseLsn(first?.stopLsn ?? "");
    const until = rows.reduce<bigint>((latest, { before }) => (before > latest ? before : latest), 0n);
    const way = this.random.below(3);
    const position = way === 0 ? lsn(this.random.between(from, until)) : way === 1 ? row.before : endOf(row);
    if (position < from || position > until) return undefined;
    const committed = this.committedBefore(position, timeline);
    return committed && { input: this.input({ "to-lsn": formatLsn(position) }, timeline), rows: committed };
  }

  private name(): Target | undefined {
    const { name, lsn: position, timeline } = this.random.pick(this.history.points);
    const committed = this.committedBefore(parseLsn(position), timeline);
    return committed && { input: { "to-name": name }, rows: committed };
  }

  private transaction(timeline: number): Target | undefined {
    const rows = this.rowsOf(timeline);
    const [first] = this.history.bases;
    const row = this.random.pick(rows);
    if (row.sentAt < Date.parse(first?.restorableFrom ?? "") + longestOpen) return undefined;
    const others = rows.filter((each) => each.n !== row.n);
    const isClear = others.every((each) => endOf(each) <= row.before || each.before >= endOf(row));
    if (!isClear) return undefined;
    return {
      input: this.input({ "to-xid": row.xid }, timeline),
      rows: rows.flatMap((each) => (endOf(each) <= endOf(row) ? [each.n] : [])),
    };
  }

  /** Undefined where a commit was being written around the position. */
  private committedBefore(position: Lsn, timeline: number): readonly number[] | undefined {
    const rows = this.rowsOf(timeline);
    if (rows.some((each) => each.before < position && position < endOf(each))) return undefined;
    return rows.flatMap((each) => (endOf(each) <= position ? [each.n] : []));
  }

  private rowsOf(timeline: number): readonly KnownRow[] {
    const rows = this.timelines.get(timeline);
    if (rows === undefined) throw new Error(`there is no timeline ${timeline}`);
    return rows;
  }

  private input(input: Target["input"], timeline: number): Target["input"] {
    return timeline === this.newest ? input : { ...input, timeline };
  }
}

function endOf({ before, after }: KnownRow): Lsn {
  return after ?? lsn(before + unknownBytes);
}

function shownTime(microseconds: bigint): string {
  const whole = new Date(Number(microseconds / 1000n)).toISOString().replace(/\d{3}Z$/, "");
  return `${whole}${String(microseconds % 1_000_000n).padStart(6, "0")}Z`;
}
