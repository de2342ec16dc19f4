import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { findProgram } from "../postgres/programs.ts";
import { withThrowAwayFolder } from "../postgres/throw-away-cluster.ts";
import { runProgram } from "../process/run-program.ts";
import { parseLsn } from "../wal-archive/lsn.ts";
import { ofLsn } from "../wal-archive/segment.ts";
import type { Archive } from "./archive.ts";
import type { Chosen } from "./choose-base.ts";
import { segmentOn } from "./line.ts";

/** Segments behind the last one with a commit that are looked into: a server with nothing to do archives empty ones. */
const mostSegments = 64n;

/** What pg_waldump tells of transactions: of those that committed, or of all that ended. */
const commits = /desc: COMMIT(?:_PREPARED \d+:)? (\d{4}-\d\d-\d\d) (\d\d:\d\d:\d\d\.\d{3})\d* UTC/g;
export const endings =
  /desc: (?:COMMIT|ABORT)(?:_PREPARED \d+:)? (\d{4}-\d\d-\d\d) (\d\d:\d\d:\d\d\.\d{3})\d* UTC/g;

/**
 * When the newest transaction in the archive committed, by the original server's clock; undefined where the last segments
 * have none, or the archive gives no single ones. WAL has no index of times: the segments are read from the end on, by
 * pg_waldump. Throws `E_WAL_CORRUPT`.
 *
 * @param latest the way to the end of the archive
 * @param which what counts beside commits
 * @param parent where the folder is made that the segments are in while they are looked into
 */
export async function newestCommit(
  archive: Pick<Archive, "segment">,
  latest: Chosen,
  parent: string,
  signal: AbortSignal,
  which = commits,
): Promise<Date | undefined> {
  const { base, line, reach } = latest;
  const size = base.segmentBytes;
  const first = ofLsn(base.timeline, parseLsn(base.startLsn), size).number;
  const last = (reach.until - 1n) / BigInt(size);
  const { path } = await findProgram("pg_waldump", Number.parseInt(base.serverVersion, 10));
  return withThrowAwayFolder(parent, async (folder) => {
    for (let number = last; number >= first && last - number <= mostSegments; number -= 1n) {
      const name = segmentOn(line, number, size);
      const content = await archive.segment(name, size, signal);
      if (content === undefined) return undefined;
      const file = join(folder, name);
      await writeFile(file, content, { mode: 0o600 });
      // It ends with an error at the end of what was written, as the manual says.
      const { stdout } = await runProgram(path, ["--rmgr=Transaction", file], {
        env: { TZ: "UTC", LC_ALL: "C" },
        cwd: "/",
        signal,
      });
      const newest = commitTimes(stdout, which).at(-1);
      if (newest !== undefined) return newest;
    }
    return undefined;
  });
}

/** Of the commits that pg_waldump lists, in the order of the log; to the millisecond, rounded down. */
export function commitTimes(listed: string, which = commits): Date[] {
  return [...listed.matchAll(which)].map(([, date, time]) => new Date(`${date}T${time}Z`));
}
