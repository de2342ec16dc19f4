import { z } from "zod";
import { UsageError } from "../core/errors.ts";
import { parseLsn } from "../wal-archive/lsn.ts";

/** The moment to restore to. Positions and transactions as text: they pass through JSON. */
export type RestoreTarget =
  | { readonly kind: "latest" }
  /** With everything that was committed at this moment or before; RFC 3339. */
  | { readonly kind: "time"; readonly time: string }
  /** With everything in the WAL before this position. */
  | { readonly kind: "lsn"; readonly lsn: string; readonly name?: string; readonly timeline?: number }
  /** Right after this transaction (64 bits) committed. */
  | { readonly kind: "transaction"; readonly transaction: string }
  /** A name in the WAL that the archive has no position of. */
  | { readonly kind: "name"; readonly name: string };

export const targetFields = {
  "to-time": z
    .string()
    .optional()
    .describe("With everything committed until then, by the server's clock: 2026-11-21T14:31:59Z"),
  "to-lsn": z.string().optional().describe("With everything in the WAL before this position: 16/B374D848"),
  "to-xid": z.string().optional().describe("Right after this transaction, as pg_current_xact_id() names it"),
  "to-name": z.string().min(1).optional().describe("A restore point: ops pitr point"),
  latest: z.boolean().default(false).describe("With everything that is archived"),
};

export interface TargetInput {
  readonly "to-time"?: string | undefined;
  readonly "to-lsn"?: string | undefined;
  readonly "to-xid"?: string | undefined;
  readonly "to-name"?: string | undefined;
  readonly latest: boolean;
}

/** Throws `E_INPUT` unless exactly one is asked for, and for a time without a zone, `E_WAL_LSN`. */
export function parseTarget(input: TargetInput): RestoreTarget {
  const { "to-time": time, "to-lsn": lsn, "to-xid": transaction, "to-name": name, latest } = input;
  const asked = [time, lsn, transaction, name, latest || undefined].filter((each) => each !== undefined);
  if (asked.length !== 1) {
    const what = asked.length === 0 ? "No moment to restore to is given" : "More than one moment is given";
    throw new UsageError("E_INPUT", what, {
      hint: "give one of: --to-time, --to-lsn, --to-xid, --to-name, --latest",
    });
  }
  if (time !== undefined) return { kind: "time", time: checkedTime(time) };
  if (lsn !== undefined) {
    parseLsn(lsn);
    return { kind: "lsn", lsn: lsn.trim() };
  }
  if (transaction !== undefined) {
    if (!/^\d{1,20}$/.test(transaction) || BigInt(transaction) >= 2n ** 64n) {
      throw new UsageError("E_INPUT", `"${transaction}" is not the number of a transaction`, {
        hint: "write it as pg_current_xact_id() gives it: 12345",
      });
    }
    return { kind: "transaction", transaction };
  }
  return name === undefined ? { kind: "latest" } : { kind: "name", name };
}

/** For people: `2026-11-21T14:31:59Z`, `position 16/B374D848`. */
export function shownTarget(target: RestoreTarget): string {
  switch (target.kind) {
    case "latest":
      return "the end of the archive";
    case "time":
      return target.time;
    case "lsn":
      return target.name === undefined ? `position ${target.lsn}` : `restore point "${target.name}"`;
    case "transaction":
      return `transaction ${target.transaction}`;
    case "name":
      return `restore point "${target.name}"`;
  }
}

function checkedTime(text: string): string {
  const trimmed = text.trim().replace(/^(\d{4}-\d\d-\d\d) /, "$1T");
  const result = z.iso.datetime({ offset: true }).safeParse(trimmed);
  if (result.success && !Number.isNaN(Date.parse(trimmed))) return trimmed;
  throw new UsageError("E_INPUT", `"${text}" is not a moment with a time zone`, {
    hint: "write date, time and zone: 2026-11-21T14:31:59Z or 2026-11-21T15:31:59+01:00",
  });
}

/** Whether nothing that is known without reading the WAL is later than a time. */
export function isOpen(target: RestoreTarget, bases: readonly { readonly stoppedAt: string }[]): boolean {
  if (target.kind !== "time") return false;
  const { time } = target;
  return bases.every((each) => Date.parse(each.stoppedAt) < Date.parse(time));
}
