import { newBackupId } from "../archive/backup-id.ts";
import type { DatabaseTarget, PgBackRestTarget } from "../config/environment.ts";
import { formatDuration } from "../core/duration.ts";
import { OpsError, UsageError } from "../core/errors.ts";
import {
  isBusy,
  requireStanza,
  type StanzaBackup,
  type StanzaInfo,
  tablespacesOf,
} from "../pgbackrest/info.ts";
import { PgBackRest } from "../pgbackrest/program.ts";
import { percentOf } from "../pgbackrest/progress.ts";
import type { OperationContext } from "../run/context.ts";
import { interruptible } from "../run/interruptible.ts";
import type { Report } from "../run/operation.ts";
import { type ClusterFacts, observeAfterwards, observeCluster } from "./base-source.ts";
import { annotate, annotation, attemptKey, nextTransactionKey, runKey } from "./pgbackrest-annotations.ts";
import { restorableFrom } from "./pgbackrest-archive.ts";

export interface CreateWish {
  readonly checkpoint: "fast" | "spread";
  readonly incremental: boolean;
  readonly differential: boolean;
  readonly parent?: string | undefined;
  readonly from?: "standby" | "primary" | "any" | undefined;
  /** Milliseconds. */
  readonly "full-every"?: number | undefined;
  /** Milliseconds. */
  readonly "wal-timeout": number;
}

/** What the operation keeps before it begins. `id` is the attempt's: pgBackRest gives the backup its label. */
export interface PgBackRestBefore {
  readonly id: string;
  readonly database: string;
  readonly stores: readonly string[];
  readonly parent: string | null;
}

/** Milliseconds between two looks at another pgBackRest that works. */
const pollInterval = 500;
/** Milliseconds that an annotation waits for another pgBackRest. */
const patience = 5 * 60_000;

/** Throws `E_WAL_FOREIGN` where the stanza is another cluster's, `E_LOCK_HELD` where pgBackRest works on it already. */
export async function observeByPgBackRest(
  context: OperationContext,
  database: DatabaseTarget,
  target: PgBackRestTarget,
  wish: CreateWish,
) {
  if (wish.parent !== undefined) {
    throw new UsageError("E_INPUT", "pgBackRest chooses itself what a base backup is incremental to", {
      hint: "leave out --parent; --differential is since the last full one, --incremental since the last one",
    });
  }
  if (wish.from === "any") {
    throw new UsageError("E_INPUT", "pgBackRest does not turn to the primary where the standby is away", {
      hint: "name the server: --from standby or --from primary; default: backup-standby in pgbackrest.conf",
    });
  }
  if (wish.incremental && wish.differential) {
    throw new UsageError("E_INPUT", "A base backup is either incremental or differential", {
      hint: "leave out one of --incremental and --differential",
    });
  }
  const program = await PgBackRest.find(target);
  const stanza = await requireStanza(program, target.repository, context.signal);
  const cluster = await observeCluster(database, context.signal);
  refuseForeign(database, target, stanza, cluster);
  const now = context.clock.now();
  return {
    id: newBackupId(now, database.name),
    database: database.name,
    stores: [`repo${target.repository}`],
    cluster: { ...cluster },
    // Which server it reads is in pgbackrest.conf, or asked for when it begins.
    server: "primary" as const,
    remark: null,
    ...basisOf(stanza, wish, now),
  };
}

/**
 * Guarantee: a backup is in pgBackRest's own catalog once it is whole, with this attempt's name; until then there is
 * none. What a killed attempt has copied is used by the next one.
 */
export async function createByPgBackRest(
  context: OperationContext,
  database: DatabaseTarget,
  target: PgBackRestTarget,
  wish: CreateWish,
  before: PgBackRestBefore,
  report: Report,
) {
  const program = await PgBackRest.find(target);
  const made = async () => {
    const { backups } = await requireStanza(program, target.repository, context.signal);
    return backups.find((each) => each.annotations[attemptKey] === before.id);
  };
  await interruptible(context, async (signal) => {
    // A killed ops may have left it at work.
    while (report.last !== undefined && (await made()) === undefined && (await isBusy(program, signal))) {
      report.progress({ message: "waiting for the pgBackRest of the attempt before" });
      await context.clock.sleep(pollInterval, signal);
    }
    if ((await made()) !== undefined) return;
    await report.checkpoint({ started: true });
    await program.run("backup", backupOptions(context, target, wish, before), {
      signal,
      detail: "detail",
      onLine: (line) => {
        const percent = percentOf(line);
        if (percent !== undefined)
          report.progress({ message: `pgBackRest copies: ${Math.floor(percent)} %` });
        else if (/^P\d+ +WARN: /.test(line)) report.log(`pgbackrest: ${line.replace(/^P\d+ +/, "")}`);
      },
    });
  });
  const backup = await made();
  if (backup === undefined) throw vanished(target);
  if (backup.annotations[nextTransactionKey] === undefined) {
    const { nextTransaction } = await observeAfterwards(database, context.signal);
    const noted = [annotation(nextTransactionKey, nextTransaction)];
    await annotate(context, program, backup.label, noted, patience, report);
  }
  const tablespaces = await tablespacesOf(program, target.repository, backup.label, context.signal);
  return resultOf(before, backup, tablespaces.length);
}

/** What has been copied without an end is pgBackRest's to use or to remove. */
export async function undoByPgBackRest(context: OperationContext, target: PgBackRestTarget, id: string) {
  const program = await PgBackRest.find(target);
  const { backups } = await requireStanza(program, target.repository, context.signal);
  const made = backups.find((each) => each.annotations[attemptKey] === id);
  return made === undefined
    ? { undone: true as const, note: "what was copied is used, or removed, by pgBackRest's next backup" }
    : {
        undone: "kept" as const,
        note: `base backup ${made.label} stays: it harms nothing and may be needed`,
      };
}

function backupOptions(
  context: OperationContext,
  { repository }: PgBackRestTarget,
  wish: CreateWish,
  { id, parent }: PgBackRestBefore,
): string[] {
  const type = parent === null ? "full" : wish.differential ? "diff" : "incr";
  return [
    `--repo=${repository}`,
    `--type=${type}`,
    wish.checkpoint === "fast" ? "--start-fast" : "--no-start-fast",
    `--archive-timeout=${Math.min(86_400, Math.max(1, Math.round(wish["wal-timeout"] / 1000)))}`,
    ...(wish.from === undefined ? [] : [`--${wish.from === "standby" ? "" : "no-"}backup-standby`]),
    annotation(attemptKey, id),
    annotation(runKey, context.runId ?? "none"),
  ];
}

/** A full one, or what it will be based on; and why it is a full one although another was asked for. */
function basisOf({ backups }: StanzaInfo, wish: CreateWish, now: Date) {
  const usable = backups.filter((each) => each.damage === null);
  const full = usable.find((each) => each.type === "full");
  const every = wish["full-every"];
  if (!wish.incremental && !wish.differential && every === undefined) return { parent: null, why: null };
  if (full === undefined) return { parent: null, why: "there is no full one that it could be based on" };
  const age = now.getTime() - full.startedAt * 1000;
  if (every !== undefined && age >= every) {
    return { parent: null, why: `the last full one, ${full.label}, is ${formatDuration(age)} old` };
  }
  return { parent: wish.differential ? full.label : (usable[0]?.label ?? full.label), why: null };
}

function resultOf(before: PgBackRestBefore, backup: StanzaBackup, tablespaces: number) {
  return {
    id: backup.label,
    database: before.database,
    parent: backup.prior,
    stores: [...before.stores],
    failedStores: [],
    missingWal: [],
    tablespaces,
    bytes: backup.bytes,
    plainBytes: backup.plainBytes,
    startLsn: backup.startLsn,
    stopLsn: backup.stopLsn,
    restorableFrom: restorableFrom(backup),
    durationMs: (backup.stoppedAt - backup.startedAt) * 1000,
  };
}

function refuseForeign(
  { name }: DatabaseTarget,
  { stanza }: PgBackRestTarget,
  { systemIdentifier }: StanzaInfo,
  cluster: ClusterFacts,
): void {
  if (cluster.systemIdentifier === systemIdentifier) return;
  throw new OpsError(
    "E_WAL_FOREIGN",
    `The stanza ${stanza} belongs to another cluster than ${name}: system identifier ${systemIdentifier}, not ${cluster.systemIdentifier}`,
    {
      hint: "give each cluster a stanza of its own; one that was made anew or upgraded: pgbackrest stanza-upgrade",
      details: { owner: systemIdentifier, cluster: cluster.systemIdentifier },
      retryable: false,
    },
  );
}

function vanished({ stanza }: PgBackRestTarget): OpsError {
  return new OpsError(
    "E_PGBACKREST",
    `pgbackrest info does not list the backup of stanza ${stanza} that was made`,
    {
      hint: "its retention may have expired it at once: look at repo1-retention-full in pgbackrest.conf",
    },
  );
}
