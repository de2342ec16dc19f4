import { z } from "zod";
import { formatDuration } from "../core/duration.ts";
import { causeText, OpsError } from "../core/errors.ts";
import { duration, name } from "../core/schema.ts";
import type { OperationContext } from "../run/context.ts";
import { defineOperation } from "../run/operation.ts";
import { formatLsn, type Lsn } from "../wal-archive/lsn.ts";
import { archiveStores, pitrOf } from "./archive.ts";
import { LogRemoved, receiveSession } from "./receive-session.ts";
import type { StartPosition } from "./receive-start.ts";

/** How long a server may take to notice that the receiver before this one is gone, in milliseconds. */
const busyPatience = 10_000;
/** Milliseconds before the next try: the first time, and at most. */
const firstDelay = 500;
const longestDelay = 30_000;

const output = z.object({
  database: z.string(),
  slot: z.string(),
  archived: z.number().describe("Segments that were archived whole"),
  durableUntil: z.string().nullable().describe("The position up to which everything is in every store"),
});

/**
 * Guarantee: what the server may remove is durable in every store. Killed at any moment, the next call goes on at the
 * segment that was not whole.
 */
export const receive = defineOperation({
  name: "wal.receive",
  summary: "Archive a server's log as it is written, over a replication slot, until it is stopped",
  example: "wal receive --database main --create-slot",
  effect: "change",
  // It runs for as long as the server does, and goes on after a crash by itself: the archive is the record.
  journaled: false,
  runsUntilStopped: true,
  input: z.strictObject({
    database: name("The database whose cluster is archived").optional(),
    "create-slot": z
      .boolean()
      .default(false)
      .describe("Make the replication slot where it does not exist; from then on the server keeps its log"),
    every: duration("How often the part of a segment that is not whole yet is archived, at least 100ms")
      .refine((ms) => ms >= 100, "must be 100ms or more")
      .prefault("2s"),
  }),
  output,
  observe: async () => null,
  plan: (_before, { database }) => [
    { target: `database:${database ?? "main"}`, action: "run", summary: "archive its log as it is written" },
  ],

  async apply(context, input, _before, report) {
    const target = context.environment.database(input.database);
    const pitr = pitrOf(target);
    const stores = await archiveStores(pitr);
    const began = context.clock.elapsed();
    let archived = 0;
    let durable: Lsn | undefined;
    let goOn: StartPosition | undefined;
    let looksBack = true;
    let failures = 0;
    const result = () => ({
      database: target.name,
      slot: pitr.slot,
      archived,
      durableUntil: durable === undefined ? null : formatLsn(durable),
    });
    for (;;) {
      const earlier = archived;
      try {
        goOn = await receiveSession({
          context,
          report,
          target,
          pitr,
          stores,
          createSlot: input["create-slot"],
          every: input.every,
          goOn,
          looksBack,
          onDurable(position, count) {
            durable = position;
            archived = earlier + count;
            failures = 0;
            report.progress({ message: `${target.name}: durable up to ${formatLsn(position)}` });
          },
        });
        if (goOn === undefined) return result();
        looksBack = false;
        report.log(`timeline ${goOn.timeline} follows, from ${formatLsn(goOn.start)} on`);
      } catch (error) {
        context.signal.throwIfAborted();
        goOn = undefined;
        looksBack = !(error instanceof LogRemoved) && looksBack && durable === undefined;
        if (error instanceof LogRemoved) {
          report.log(`${error.message}: what lies there cannot be restored; make a base backup`);
          continue;
        }
        const isYoung = durable === undefined && context.clock.elapsed() - began > busyPatience;
        if (context.stop.aborted || !isPassing(error, isYoung)) throw error;
        failures += 1;
        const wait = Math.min(longestDelay, firstDelay * 2 ** Math.min(10, failures - 1));
        report.log(`${complaint(error)}; the server keeps its log; again in ${formatDuration(wait)}`);
        if (!(await waited(context, wait))) return result();
      }
    }
  },

  render: ({ database, archived, durableUntil }) =>
    durableUntil === null
      ? `Stopped before anything of ${database} was received`
      : `Stopped; ${archived} segments of ${database} were archived, everything up to ${durableUntil} is in every store`,
});

/** What may be over after a while: a server or a store that is away. The rest is for a person. */
function isPassing(error: unknown, slotMustBeFree: boolean): error is OpsError {
  if (!(error instanceof OpsError) || !error.retryable) return false;
  if (error.code === "E_WAL_SLOT") return !slotMustBeFree;
  return error.code !== "E_SQL";
}

function complaint(error: OpsError): string {
  const cause = causeText(error.cause);
  return cause === undefined ? error.message : `${error.message}: ${cause}`;
}

/** False where it was stopped. */
async function waited(context: OperationContext, ms: number): Promise<boolean> {
  try {
    await context.clock.sleep(ms, AbortSignal.any([context.signal, context.stop]));
    return true;
  } catch (error) {
    context.signal.throwIfAborted();
    if (context.stop.aborted) return false;
    throw error;
  }
}
