import { z } from "zod";
import type { DatabaseTarget } from "../config/environment.ts";
import { errorRecord, OpsError } from "../core/errors.ts";
import { parseLsn } from "../wal-archive/lsn.ts";
import { archiveLag, shownMissing } from "../wal-server/lag.ts";
import { readServer } from "../wal-server/server.ts";
import type { ArchiveState } from "./archive-state.ts";
import type { Window } from "./window.ts";

export const windowEndSchema = z.object({
  behindMs: z
    .number()
    .nullable()
    .describe("How long before now the window ends, by what the server has written since; null: not known"),
  missing: z.string().nullable().describe("What the server has finished and the archive lacks"),
  why: z.string().nullable().describe("Why it is not known"),
});

/** Where a window ends that reaches the end of the archive: the archive may have ended long ago. */
export type WindowEnd = z.output<typeof windowEndSchema>;

/** Asks the server. Throws `E_WAL_FOREIGN` where it is of another cluster, and the errors of connections. */
export async function readWindowEnd(
  database: DatabaseTarget,
  { bases }: Pick<ArchiveState, "bases">,
  window: Window,
  signal: AbortSignal,
): Promise<WindowEnd> {
  const server = await readServer(database, signal);
  const owner = bases.find((each) => window.bases.includes(each.id))?.systemIdentifier;
  if (owner !== undefined && owner !== server.systemIdentifier) {
    throw new OpsError(
      "E_WAL_FOREIGN",
      `The archive of ${database.name} is of the cluster ${owner}, and the server is ${server.systemIdentifier}`,
      { hint: "see that the url leads to the cluster that is archived", retryable: false },
    );
  }
  if (server.timeline !== window.timeline) {
    const missing = `all WAL of the server's timeline ${server.timeline}`;
    return { behindMs: null, missing, why: null };
  }
  const lag = archiveLag(server, parseLsn(window.untilLsn));
  const why = lag.ms === null ? "the server does not tell since when it writes to the open segment" : null;
  return { behindMs: lag.ms, missing: shownMissing(lag), why: lag.missing === null ? why : null };
}

/** For a window that is shown although its server may be lost. */
export async function windowEndIfKnown(
  database: DatabaseTarget,
  state: Pick<ArchiveState, "bases">,
  window: Window,
  signal: AbortSignal,
): Promise<WindowEnd> {
  try {
    return await readWindowEnd(database, state, window, signal);
  } catch (error) {
    if (signal.aborted || !(error instanceof OpsError)) throw error;
    return { behindMs: null, missing: null, why: errorRecord(error).message };
  }
}
