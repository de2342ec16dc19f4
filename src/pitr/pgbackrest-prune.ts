import type { DatabaseTarget, PgBackRestTarget } from "../config/environment.ts";
import { OpsError } from "../core/errors.ts";
import { listWal } from "../pgbackrest/archived-wal.ts";
import { requireStanza } from "../pgbackrest/info.ts";
import { PgBackRest } from "../pgbackrest/program.ts";
import { annotatedPoints } from "./pgbackrest-annotations.ts";
import { repositoryOf } from "./pgbackrest-archive.ts";

/** In the place of a window: retention is pgBackRest's, in its own configuration. */
export const retentionOfPgBackRest = "as in pgbackrest.conf";

interface Expired {
  readonly labels: readonly string[];
  /** Directories and segments of the log, from the first to the last name. */
  readonly ranges: readonly (readonly [first: string, last: string])[];
}

/** What `pgbackrest expire` would remove now, and what stays. */
export async function surveyExpire(
  database: DatabaseTarget,
  target: PgBackRestTarget,
  store: string | undefined,
  signal: AbortSignal,
) {
  const repository = repositoryOf(target, store);
  const program = await PgBackRest.find(target);
  const { labels, ranges } = await expire(program, [`--repo=${repository}`, "--dry-run"], signal);
  const stanza = await requireStanza(program, repository, signal);
  const { sizes } = await listWal(program, repository, stanza.archiveId, signal);
  const backups = stanza.backups.filter((each) => labels.includes(each.label));
  const expired = [...sizes].filter(([name]) =>
    ranges.some(([first, last]) => name >= first && name <= last),
  );
  return {
    store: `repo${repository}`,
    removed: backups
      .reverse()
      .map(({ label, bytes }) => ({ id: label, bytes, why: "pgBackRest's retention" })),
    kept: stanza.backups
      .filter((each) => !labels.includes(each.label))
      .map(({ label }) => ({ id: label, reason: "pgBackRest's retention" })),
    walFiles: expired.length,
    walBytes: expired.reduce((sum, [, bytes]) => sum + bytes, 0),
    points: [...annotatedPoints(database.name, { backups }).keys()],
    leftovers: [],
    busy: [],
    locked: 0,
  };
}

/**
 * Removes what was planned, by pgBackRest: first from its catalog, then the files. Killed, the next one clears what is
 * left. Throws `E_PLAN_CHANGED` where it would remove more.
 */
export async function expireAsPlanned(
  database: DatabaseTarget,
  target: PgBackRestTarget,
  store: string | undefined,
  planned: { readonly removed: readonly { readonly id: string }[] },
  signal: AbortSignal,
) {
  const now = await surveyExpire(database, target, store, signal);
  const more = now.removed.find(({ id }) => !planned.removed.some((each) => each.id === id));
  if (more !== undefined) {
    throw new OpsError("E_PLAN_CHANGED", `pgBackRest would now also remove base backup ${more.id}`, {
      hint: "look at it again: ops pitr prune --dry-run",
      retryable: false,
    });
  }
  const program = await PgBackRest.find(target);
  await expire(program, [`--repo=${repositoryOf(target, store)}`], signal);
  return now;
}

async function expire(
  program: PgBackRest,
  options: readonly string[],
  signal: AbortSignal,
): Promise<Expired> {
  const labels: string[] = [];
  const ranges: (readonly [string, string])[] = [];
  await program.run("expire", options, {
    signal,
    onLine: (line) => {
      const label = /remove expired backup (\S+)$/.exec(line)?.[1];
      if (label !== undefined) labels.push(label);
      const [, first, last] =
        /remove archive, start = ([0-9A-F]{24}), stop = ([0-9A-F]{24})/.exec(line) ?? [];
      if (first !== undefined && last !== undefined) ranges.push([first, last]);
    },
  });
  return { labels, ranges };
}
