import { parseWalFile, timelineName } from "./segment.ts";

/**
 * Where things are in a store: everything of one cluster begins with `pitr/<database target>/`.
 *
 * - `cluster.json`: whose archive it is; written once (`cluster.ts`)
 * - `wal/<timeline>/<file>.zst.age`: what `archive_command` was given (segments, `.partial`, `.backup`, `.history`)
 * - `sum/<timeline>/<file>`: SHA-256 of such a file before compression; it claims the name, so it is there first
 * - `live/<timeline>/<segment>-<from>-<to>.zst.age`: a part of a segment that is still being written (`live-part.ts`);
 *   of no use once the segment is under `wal/`, and expires with it where it never came
 * - `base/<id>/…`: a base backup; it exists once `base/<id>/manifest.json` does
 */
export const clusterPrefix = (database: string) => `pitr/${database}/`;

export const clusterObject = (database: string) => `${clusterPrefix(database)}cluster.json`;

/** Everything of all timelines. */
export const walPrefix = (database: string) => `${clusterPrefix(database)}wal/`;

/** @param file a name as PostgreSQL gives it */
export const walObject = (database: string, file: string, suffix: string) =>
  `${walPrefix(database)}${folderOf(file)}/${file}.zst${suffix}`;

/** All segments of a timeline. */
export const timelinePrefix = (database: string, timeline: number) =>
  `${walPrefix(database)}${timelineName(timeline)}/`;

/** Of all timelines. */
export const sumPrefix = (database: string) => `${clusterPrefix(database)}sum/`;

export const sumObject = (database: string, file: string) =>
  `${sumPrefix(database)}${folderOf(file)}/${file}`;

export const livePrefix = (database: string) => `${clusterPrefix(database)}live/`;

/** The live parts of a timeline. */
export const liveTimelinePrefix = (database: string, timeline: number) =>
  `${livePrefix(database)}${timelineName(timeline)}/`;

/** The parts of one segment. */
export const liveSegmentPrefix = (database: string, segment: string) =>
  `${livePrefix(database)}${folderOf(segment)}/${segment}-`;

/**
 * @param from position in the segment of its first byte
 * @param to position behind its last byte
 */
export const liveObject = (database: string, segment: string, from: number, to: number, suffix: string) =>
  `${liveSegmentPrefix(database, segment)}${offset(from)}-${offset(to)}.zst${suffix}`;

const offset = (bytes: number) => bytes.toString(16).padStart(8, "0");

export const basePrefix = (database: string) => `${clusterPrefix(database)}base/`;

export const baseManifestObject = (database: string, id: string) =>
  `${basePrefix(database)}${id}/manifest.json`;

/** What one of the names under `wal/` is: PostgreSQL's name and the end that tells the encryption. */
export interface ArchivedName {
  readonly file: string;
  readonly suffix: string;
}

/** Undefined for what is no archived file of this cluster. */
export function archivedName(database: string, object: string): ArchivedName | undefined {
  const prefix = walPrefix(database);
  if (!object.startsWith(prefix)) return undefined;
  const [, folder, file = "", suffix = ""] =
    /^([0-9A-F]{8})\/([0-9A-F].*)\.zst(\.age|\.aes)$/.exec(object.slice(prefix.length)) ?? [];
  if (parseWalFile(file) === undefined || folderOf(file) !== folder) return undefined;
  return { file, suffix };
}

function folderOf(file: string): string {
  return file.slice(0, 8);
}
