import type { DatabaseTarget, OpsPitrTarget } from "../config/environment.ts";
import { OpsError, UsageError } from "../core/errors.ts";
import { LogStream } from "../postgres/log-stream.ts";
import type { OperationContext } from "../run/context.ts";
import type { Report } from "../run/operation.ts";
import { type ArchiveStore, archiveFile } from "../wal-archive/archive-file.ts";
import { archiveMarks, claimKnownArchive } from "../wal-archive/known-archive.ts";
import { sweepLive } from "../wal-archive/live-part.ts";
import { formatLsn, type Lsn } from "../wal-archive/lsn.ts";
import { timelineName } from "../wal-archive/segment.ts";
import { archiveEnd, readLine, type StartPosition, startAt, startOfNext } from "./receive-start.ts";
import { Reception } from "./reception.ts";
import { readSlot, type SlotState, slotBusy } from "./slot.ts";

export interface SessionOptions {
  readonly context: OperationContext;
  readonly report: Report;
  readonly target: DatabaseTarget;
  readonly pitr: OpsPitrTarget;
  readonly stores: readonly ArchiveStore[];
  readonly createSlot: boolean;
  /** Milliseconds between two live parts. */
  readonly every: number;
  /** Where to go on, after a timeline has ended; undefined: where the slot or the archive says. */
  readonly goOn: StartPosition | undefined;
  /** Whether to look for what the server has before the slot: once for a process, and for a new slot. */
  readonly looksBack: boolean;
  readonly onDurable: (position: Lsn, archived: number) => void;
}

/**
 * One connection, from its beginning to its end. Every store and the cluster's claim on it is asked first: while one
 * is away nothing is taken from the server, which keeps it.
 *
 * @returns where the next timeline goes on; undefined where it was stopped
 */
export async function receiveSession(options: SessionOptions): Promise<StartPosition | undefined> {
  const { context, target, pitr, stores, report } = options;
  const { signal } = context;
  const slot = await readSlot(target, pitr, options.createSlot, signal);
  const { systemIdentifier, serverMajor, segmentBytes } = slot;
  const { name: database } = target;
  const environment = context.environment.name;
  const cluster = { environment, database, systemIdentifier, serverMajor, segmentBytes };
  for (const { store } of stores) {
    await claimKnownArchive(store, cluster, archiveMarks(context.stateDirectory));
    await sweepLive(store, database);
  }
  if (slot.isNew) report.log(`the replication slot ${pitr.slot} is made: the server keeps its log for it`);
  const stream = await LogStream.open(target, signal);
  try {
    const line = await readLine(stream);
    if (line.history !== undefined) {
      const file = `${timelineName(line.timeline)}.history`;
      const { compression } = pitr;
      await archiveFile(stores, { database, file, content: line.history, compression }, signal);
    }
    const before =
      options.goOn === undefined && (options.looksBack || slot.isNew)
        ? await archiveEnd(stores, database, line, slot)
        : undefined;
    const from = options.goOn ?? before ?? startAt(line, slot.restart, segmentBytes);
    const begin = async ({ timeline, start }: StartPosition) => {
      const { every, onDurable } = options;
      const { compression } = pitr;
      await stream.start({ slot: pitr.slot, timeline, at: start });
      const kept = slot.keptBytes > 0 ? `, the slot holds ${Math.round(slot.keptBytes / 2 ** 20)} MiB` : "";
      report.log(`receiving timeline ${timeline} from ${formatLsn(start)} on${kept}`);
      const reception = { cluster, stores, compression, timeline, start, every, onDurable };
      await new Reception(stream, reception).run(context.stop, signal);
    };
    try {
      await begin(from);
    } catch (error) {
      throw explained(options, slot, from, before !== undefined, error);
    }
    const { next } = stream;
    return next === undefined ? undefined : startOfNext(next, segmentBytes);
  } finally {
    await stream.close();
  }
}

/** The server no longer has what lies between the end of the archive and the slot. */
export class LogRemoved extends Error {
  readonly from: Lsn;
  readonly until: Lsn;

  constructor(from: Lsn, until: Lsn) {
    super(`the server has removed its log between ${formatLsn(from)} and ${formatLsn(until)}`);
    this.from = from;
    this.until = until;
  }
}

function explained(
  { target, pitr }: SessionOptions,
  slot: SlotState,
  { start }: StartPosition,
  isBeforeSlot: boolean,
  error: unknown,
): unknown {
  if (!(error instanceof OpsError) || error.code !== "E_SQL") return error;
  const { details } = error;
  const state =
    typeof details === "object" && details !== null && "sqlstate" in details ? details.sqlstate : "";
  if (state === "55006") return slotBusy(target, pitr.slot, error);
  if (state !== "58P01") return error;
  if (isBeforeSlot) return new LogRemoved(start, slot.restart);
  return new UsageError("E_WAL_SLOT", `The server of ${target.name} has removed what is to be received`, {
    cause: error,
    hint: "drop the slot (SELECT pg_drop_replication_slot(…)), start with --create-slot, and make a base backup: ops pitr base create",
  });
}
