import type { StoreTarget } from "../config/environment.ts";
import { OpsError } from "../core/errors.ts";
import { openerFor } from "../crypto/encryption.ts";
import { trustedSignersOf } from "../crypto/trusted-signers.ts";
import { readObject } from "../storage/object-store.ts";
import { openStore } from "../storage/open-store.ts";
import { decompress } from "../storage/zstd.ts";
import { readBaseCatalog, wholeBases } from "../wal-archive/base-catalog.ts";
import type { BaseManifest } from "../wal-archive/base-manifest.ts";
import { archivedName, walPrefix } from "../wal-archive/layout.ts";
import { listLive, liveChainOf } from "../wal-archive/live-part.ts";
import { parseWalFile } from "../wal-archive/segment.ts";
import { parseHistory, type TimelineHistory } from "../wal-archive/timeline-history.ts";

/** What must be known of a base backup to choose it and to replay from it; a manifest says more. */
export interface ArchivedBase {
  readonly id: string;
  /** What must be unpacked with it; absent: it stands alone, or its engine puts it together by itself. */
  readonly parent?: string | undefined;
  readonly systemIdentifier: string;
  /** `15.18`, or `15` where nobody knows better. */
  readonly serverVersion: string;
  readonly segmentBytes: number;
  readonly timeline: number;
  readonly startLsn: string;
  readonly stopLsn: string;
  /** RFC 3339, by the server's clock, never before the end of the backup: the earliest moment to restore to. */
  readonly stoppedAt: string;
  /** The first transaction (64 bits) that had not begun then; null: not known. */
  readonly nextTransaction: string | null;
  /** Bytes on the disk once it is restored. */
  readonly plainBytes: number;
}

/** By their ends, then by their ids, so that the order is total. */
export function newestFirst(one: ArchivedBase, other: ArchivedBase): number {
  return Date.parse(other.stoppedAt) - Date.parse(one.stoppedAt) || (other.id < one.id ? -1 : 1);
}

/** What of a cluster is in an archive. */
export interface ArchiveState<Base extends ArchivedBase = ArchivedBase> {
  /** The whole ones, newest first. */
  readonly bases: readonly Base[];
  /** Ids of base backups that are not what was written. */
  readonly broken: readonly string[];
  /** Names of whole segments. */
  readonly segments: ReadonlySet<string>;
  /** How much there is of segments that are still being written, in bytes from their beginning, by name. */
  readonly live: ReadonlyMap<string, number>;
  /** Of every timeline that came from another one. */
  readonly histories: ReadonlyMap<number, TimelineHistory>;
  /** Stores that could not be read and are left out. */
  readonly unread?: readonly { readonly store: string; readonly reason: string }[];
}

/** Histories are encrypted: an identity is needed where there are any. Throws `E_IDENTITY`, `E_WAL_ARCHIVE`. */
export async function readArchive(
  target: StoreTarget,
  database: string,
): Promise<ArchiveState<BaseManifest>> {
  const store = openStore(target);
  const entries = await readBaseCatalog(store, database, await trustedSignersOf(target));
  const segments = new Set<string>();
  const histories = new Map<number, TimelineHistory>();
  for await (const object of store.list(walPrefix(database))) {
    const file = archivedName(database, object.name)?.file;
    const kind = file === undefined ? undefined : parseWalFile(file);
    if (file !== undefined && kind?.kind === "segment") segments.add(file);
    if (kind?.kind !== "history") continue;
    const stored = await readObject(store, object.name);
    const parts: Uint8Array[] = [];
    const opener = await openerFor(target);
    for await (const part of decompress(opener.decrypt(rowOf(stored)))) parts.push(part);
    const history = parseHistory(Buffer.concat(parts).toString());
    if (history === undefined) {
      throw new OpsError("E_WAL_ARCHIVE", `${object.name} in ${store.location} is no history of a timeline`, {
        hint: "restore this object from another store of the archive",
        retryable: false,
      });
    }
    histories.set(kind.timeline, history);
  }
  const live = await listLive(store, database);
  return {
    bases: wholeBases(entries),
    broken: entries.flatMap((each) => (each.status === "broken" ? [each.id] : [])),
    segments,
    live: new Map([...live].map(([segment, parts]) => [segment, liveChainOf(parts).bytes])),
    histories,
  };
}

async function* rowOf(content: Buffer): AsyncGenerator<Buffer> {
  yield content;
}
