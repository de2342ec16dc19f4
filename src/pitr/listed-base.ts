import { z } from "zod";

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
