import type { PgBackRestTarget } from "../config/environment.ts";
import { errorRecord, OpsError } from "../core/errors.ts";
import { listWal } from "../pgbackrest/archived-wal.ts";
import { findStanza } from "../pgbackrest/info.ts";
import { PgBackRest } from "../pgbackrest/program.ts";
import type { OperationContext } from "../run/context.ts";
import { parseSegment } from "../wal-archive/segment.ts";
import type { ArchivingServer } from "../wal-server/server.ts";
import { type StoreStanding, storeStanding } from "./standing.ts";

const nothingKnown = { lagBytes: null, lagSegments: null, lagMs: null, missing: null };

/** What cannot be read is told in the place of how it stands. */
export async function standingOr(
  context: OperationContext,
  store: string,
  read: (unread: (error: string) => StoreStanding) => Promise<StoreStanding>,
): Promise<StoreStanding> {
  const unread = (error: string) => ({ store, error, bytes: 0, ...nothingKnown, timelines: [] });
  try {
    return await read(unread);
  } catch (error) {
    if (context.signal.aborted || !(error instanceof OpsError)) throw error;
    const { message, cause } = errorRecord(error);
    return unread(cause === undefined ? message : `${message}: ${cause}`);
  }
}

export function foreignArchive(owner: string, server: ArchivingServer): string {
  return `the archive is of the cluster ${owner}, not ${server.systemIdentifier}`;
}

/** The repository of pgBackRest that the settings name. */
export function readRepository(
  context: OperationContext,
  target: PgBackRestTarget,
  server: ArchivingServer,
): Promise<StoreStanding> {
  const store = `repo${target.repository}`;
  return standingOr(context, store, async (unread) => {
    const program = await PgBackRest.find(target);
    const stanza = await findStanza(program, target.repository, context.signal);
    if (stanza === undefined) return unread(`there is no stanza "${target.stanza}"`);
    if (stanza.systemIdentifier !== server.systemIdentifier)
      return unread(foreignArchive(stanza.systemIdentifier, server));
    const found = await listWal(program, target.repository, stanza.archiveId, context.signal);
    const segments = new Map<number, Set<bigint>>();
    for (const name of found.segments) {
      const segment = parseSegment(name, server.segmentBytes);
      if (segment === undefined) continue;
      segments.set(segment.timeline, (segments.get(segment.timeline) ?? new Set()).add(segment.number));
    }
    return storeStanding(store, server, { segments, bytes: found.bytes }, undefined);
  });
}
