import type { JournalEntry, RunEvent, RunRequest } from "./events.ts";

/** Who holds a lease. */
export interface LeaseHolder {
  readonly run: string;
  readonly runName: string;
  readonly actor: string;
  readonly host: string;
  readonly pid: number;
  /** The kernel's start time of that process, so that a reused pid is not taken for it; null where unknown. */
  readonly pidStartedAt: string | null;
}

/** The right to write to a run and to change its targets; lost when it is not renewed in time. */
export interface Lease {
  readonly run: string;
  /** Unique to this process's hold of the run. */
  readonly token: string;
  readonly targets: readonly string[];
}

/**
 * The append-only record of runs, and the locks that go with them.
 *
 * Guarantees: an entry is durable when `append` returns. Only the holder of the run's live lease can append
 * (`E_LOCK_LOST` otherwise), so a process that was paused past its lease cannot begin a new effect.
 */
export interface Journal {
  /** Takes the leases and writes `run.created`, both or neither. Throws `E_LOCK_HELD` (exit code 6). */
  create(id: string, request: RunRequest): Promise<Lease>;
  /** Takes the leases of an existing run again, from a holder that is gone. Throws `E_LOCK_HELD`. */
  reopen(id: string, targets: readonly string[]): Promise<Lease>;
  /** Adds targets that only became known on the way. Throws `E_LOCK_HELD`; what was held stays held. */
  extend(lease: Lease, targets: readonly string[]): Promise<Lease>;
  append(lease: Lease, event: RunEvent): Promise<JournalEntry>;
  /** Extends the lease. Throws `E_LOCK_LOST` where somebody else has it. */
  renew(lease: Lease): Promise<void>;
  /** Gives the leases back; the run's entries stay. */
  release(lease: Lease): Promise<void>;
  /** Entries of one run in order, those after `sequence` only. Empty where there is no such run. */
  entries(run: string, afterSequence?: number): Promise<JournalEntry[]>;
  /** Which runs have entries after a position of the whole journal, in the order of the first such entry. */
  runsSince(position: number): Promise<string[]>;
  /** The position of the newest entry of all; 0 where there is none. */
  lastPosition(): Promise<number>;
  /** What the newest entry of a run tells; undefined where there is no such run. */
  newest(run: string): Promise<RunEvent["type"] | undefined>;
  /** Ids of all runs, newest first. */
  runs(limit?: number): Promise<string[]>;
  /** Who holds the run now; undefined where nobody alive does. */
  holder(run: string): Promise<LeaseHolder | undefined>;
  close(): Promise<void>;
}

/** How long a lease lasts without renewal, and how often it is renewed (milliseconds). */
export const leaseDuration = 30_000;
export const leaseRenewal = 10_000;

/** The lease that stands for a run itself, beside those of its targets. */
export function runTarget(id: string): string {
  return `run:${id}`;
}
