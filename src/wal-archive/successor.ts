import { OpsError } from "../core/errors.ts";
import { type ReadableStore, readArchivedFile } from "./read-file.ts";
import { parseSegment, timelineName } from "./segment.ts";
import { parseHistory } from "./timeline-history.ts";

/**
 * Whether a later timeline came from this one behind this segment. Then the log went on, though a server that was lost
 * has archived no more of this timeline: its standby does not archive what it has received. Asks for one history after
 * the other, as the server does.
 *
 * @param size bytes of a segment
 * @throws what reading an archived file throws
 */
export async function isSucceeded(
  stores: readonly ReadableStore[],
  database: string,
  file: string,
  size: number,
  signal: AbortSignal,
): Promise<boolean> {
  const segment = parseSegment(file, size);
  if (segment === undefined) return false;
  for (let timeline = segment.timeline + 1; ; timeline += 1) {
    const name = `${timelineName(timeline)}.history`;
    const content = await readArchivedFile(stores, database, name, signal).catch((error: unknown) => {
      if (error instanceof OpsError && error.code === "E_WAL_MISSING") return undefined;
      throw error;
    });
    if (content === undefined) return false;
    const left = parseHistory(content.toString())?.find((each) => each.timeline === segment.timeline);
    if (left !== undefined && left.until / BigInt(size) > segment.number) return true;
  }
}
