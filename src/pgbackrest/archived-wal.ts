import { z } from "zod";
import { OpsError } from "../core/errors.ts";
import { parseLsn } from "../wal-archive/lsn.ts";
import { isSegmentSize, parseWalFile } from "../wal-archive/segment.ts";
import { parseHistory, type TimelineHistory } from "../wal-archive/timeline-history.ts";
import type { StanzaBackup } from "./info.ts";
import type { PgBackRest } from "./program.ts";

const listingSchema = z.record(z.string(), z.object({ type: z.string(), size: z.number().optional() }));

/** The WAL of a cluster in a repository. */
export interface ArchivedWal {
  /** Names of whole segments. */
  readonly segments: ReadonlySet<string>;
  /** Bytes of each of them, as it is stored. */
  readonly sizes: ReadonlyMap<string, number>;
  /** Stored, of all of them. */
  readonly bytes: number;
  /** Timelines whose history is there. */
  readonly histories: readonly number[];
}

/** Lists every file; `info` knows the first and the last one only. */
export async function listWal(
  program: PgBackRest,
  repository: number,
  archiveId: string,
  signal?: AbortSignal,
): Promise<ArchivedWal> {
  const options = [`--repo=${repository}`, "--recurse", "--output=json"];
  const text = await program.read("repo-ls", options, signal, folder(program, archiveId));
  const sizes = new Map<string, number>();
  const histories: number[] = [];
  let bytes = 0;
  for (const [path, { type, size = 0 }] of Object.entries(listingSchema.parse(JSON.parse(text)))) {
    if (type !== "file") continue;
    const name = path.slice(path.lastIndexOf("/") + 1);
    // <segment>-<SHA-1 of its content>, and what it is compressed with.
    const segment = /^([0-9A-F]{24})-[0-9a-f]{40}(?:\.\w+)?$/.exec(name)?.[1];
    const file = parseWalFile(segment ?? name);
    if (file === undefined) continue;
    bytes += size;
    if (segment !== undefined) sizes.set(segment, size);
    else if (file.kind === "history") histories.push(file.timeline);
  }
  return { segments: new Set(sizes.keys()), sizes, bytes, histories };
}

/** Throws `E_WAL_ARCHIVE` where the file is none. */
export async function readHistory(
  program: PgBackRest,
  repository: number,
  archiveId: string,
  timeline: number,
  signal?: AbortSignal,
): Promise<TimelineHistory> {
  const file = `${timeline.toString(16).toUpperCase().padStart(8, "0")}.history`;
  const path = `${folder(program, archiveId)}/${file}`;
  const history = parseHistory(await program.read("repo-get", [`--repo=${repository}`], signal, path));
  if (history !== undefined) return history;
  throw new OpsError("E_WAL_ARCHIVE", `${path} in pgBackRest's repository is no history of a timeline`, {
    hint: "look at the repository with: pgbackrest verify",
    retryable: false,
  });
}

const usualSegment = 16 * 2 ** 20;

/**
 * Bytes of a segment. pgBackRest does not tell; a position and the name of the segment that holds it do, but for the
 * first segment of each 4 GiB.
 */
export function segmentBytesOf(backups: readonly StanzaBackup[]): number {
  for (const { startSegment, startLsn } of backups) {
    const inLog = BigInt(`0x${startSegment.slice(16, 24)}`);
    const low = parseLsn(startLsn) & 0xffff_ffffn;
    if (inLog === 0n) continue;
    for (let size = 2 ** 20; size <= 2 ** 30; size *= 2) {
      if (isSegmentSize(size) && low / BigInt(size) === inLog) return size;
    }
  }
  return usualSegment;
}

function folder(program: PgBackRest, archiveId: string): string {
  return `archive/${program.target.stanza}/${archiveId}`;
}
