import { z } from "zod";
import type { ArchivedBase } from "./archive-state.ts";

/** A base backup as `pitr base list` shows it. */
export const listedBaseSchema = z.object({
  id: z.string(),
  status: z.enum(["complete", "broken", "wal-missing"]),
  reason: z.string().nullable().describe("Why it cannot be restored"),
  restorableFrom: z.string().nullable().describe("The earliest moment to restore to with it"),
  ageMs: z.number().nullable(),
  timeline: z.number().nullable(),
  startLsn: z.string().nullable(),
  stopLsn: z.string().nullable(),
  tablespaces: z.number().nullable(),
  bytes: z.number().nullable().describe("Stored"),
  parent: z.string().nullable().describe("What it is incremental to; null: a full one"),
  chain: z.array(z.string()).describe("What a restore of it reads, the full one first, itself last"),
  chainBytes: z.number().nullable().describe("Stored, of the whole chain"),
  plainBytes: z.number().nullable(),
});

export type ListedBase = z.output<typeof listedBaseSchema>;

export interface StoredBase {
  readonly id: string;
  /** Stored. */
  readonly bytes: number;
}

/**
 * @param stored what it takes of the store. `chain` is what a restore of it reads, the full one first, itself last;
 *   `missing` the first segment that it needs and the archive does not have
 */
export function listedBase(
  base: ArchivedBase,
  stored: {
    readonly bytes: number;
    readonly parent: string | null;
    readonly chain: readonly StoredBase[];
    readonly tablespaces: number | null;
    readonly missing: string | undefined;
  },
  now: Date,
): ListedBase {
  const { bytes, parent, chain, tablespaces, missing } = stored;
  return {
    id: base.id,
    status: missing === undefined ? "complete" : "wal-missing",
    reason: missing === undefined ? null : `WAL ${missing} is not in the archive`,
    restorableFrom: base.stoppedAt,
    ageMs: Math.max(0, now.getTime() - Date.parse(base.stoppedAt)),
    timeline: base.timeline,
    startLsn: base.startLsn,
    stopLsn: base.stopLsn,
    tablespaces,
    bytes,
    parent,
    chain: chain.map((each) => each.id),
    chainBytes: chain.reduce((sum, each) => sum + each.bytes, 0),
    plainBytes: base.plainBytes,
  };
}

/** One that is there and cannot be read. */
export function brokenBase(id: string, reason: string): ListedBase {
  return {
    id,
    status: "broken",
    reason,
    restorableFrom: null,
    ageMs: null,
    timeline: null,
    startLsn: null,
    stopLsn: null,
    tablespaces: null,
    bytes: null,
    parent: null,
    chain: [],
    chainBytes: null,
    plainBytes: null,
  };
}
