import { z } from "zod";
import { OpsError, UsageError } from "../core/errors.ts";
import { formatLsn, parseLsn } from "../wal-archive/lsn.ts";
import { complaintOf } from "./failure.ts";
import type { PgBackRest } from "./program.ts";

const backupSchema = z.object({
  label: z.string(),
  type: z.enum(["full", "diff", "incr"]),
  prior: z.string().nullable(),
  error: z.boolean().nullish(),
  database: z.object({ id: z.number(), "repo-key": z.number() }),
  archive: z.object({ start: z.string().nullable(), stop: z.string().nullable() }),
  lsn: z.object({ start: z.string(), stop: z.string() }).partial().nullish(),
  timestamp: z.object({ start: z.number(), stop: z.number() }),
  info: z.object({
    size: z.number(),
    repository: z.object({ delta: z.number().nullish(), size: z.number().nullish() }),
  }),
  annotation: z.record(z.string(), z.string()).nullish(),
  tablespace: z.array(z.object({ oid: z.number(), destination: z.string() })).nullish(),
});

const stanzaSchema = z.object({
  name: z.string(),
  db: z.array(
    z.object({ id: z.number(), "repo-key": z.number(), "system-id": z.string(), version: z.string() }),
  ),
  repo: z.array(z.object({ key: z.number(), status: z.object({ code: z.number(), message: z.string() }) })),
  backup: z.array(backupSchema),
  status: z.object({ lock: z.object({ backup: z.object({ held: z.boolean() }) }).nullish() }),
});

type BackupRecord = z.output<typeof backupSchema>;

/** A base backup as pgBackRest knows it. Bytes, and seconds since 1970 by the server's clock. */
export interface StanzaBackup {
  readonly label: string;
  readonly type: "full" | "diff" | "incr";
  /** The one that it builds on; null for a full one. */
  readonly prior: string | null;
  /** Why it must not be restored: pages whose checksum was wrong, or a cluster before this one. */
  readonly damage: string | null;
  readonly timeline: number;
  /** Name of the segment that holds `startLsn`. */
  readonly startSegment: string;
  readonly startLsn: string;
  readonly stopLsn: string;
  readonly startedAt: number;
  readonly stoppedAt: number;
  /** Of the whole cluster, and of what this one added to the repository. */
  readonly plainBytes: number;
  readonly bytes: number;
  readonly annotations: Readonly<Record<string, string>>;
}

/** What pgBackRest knows of a stanza, in one repository. */
export interface StanzaInfo {
  readonly systemIdentifier: string;
  /** The major version: `15`. */
  readonly serverVersion: string;
  /** Where in the repository the WAL of the cluster is: `15-1`. */
  readonly archiveId: string;
  /** Newest first. */
  readonly backups: readonly StanzaBackup[];
}

/** pgBackRest's own numbers for the state of a stanza in a repository. */
const ok = 0;
const noBackups = 2;
const missing = [1, 3];

/** Undefined where the repository has no such stanza yet. Throws `E_PGBACKREST`. */
export async function findStanza(
  program: PgBackRest,
  repository: number,
  signal?: AbortSignal,
): Promise<StanzaInfo | undefined> {
  const stanza = await readStanza(program, [`--repo=${repository}`], signal);
  const state = stanza.repo.find((each) => each.key === repository)?.status ?? { code: 1, message: "" };
  if (missing.includes(state.code)) return undefined;
  if (state.code !== ok && state.code !== noBackups) {
    throw new OpsError(
      "E_PGBACKREST",
      `pgBackRest cannot read repository ${repository} of stanza ${stanza.name}`,
      {
        cause: new Error(complaintOf(state.message)),
        hint: "look at the repository's settings in pgbackrest.conf: path, keys and passphrase",
      },
    );
  }
  const current = stanza.db.filter((each) => each["repo-key"] === repository).at(-1);
  if (current === undefined) return undefined;
  return {
    systemIdentifier: current["system-id"],
    serverVersion: current.version,
    archiveId: `${current.version}-${current.id}`,
    backups: stanza.backup
      .filter((each) => each.database["repo-key"] === repository)
      .flatMap((each) => backupOf(each, current.id) ?? [])
      .reverse(),
  };
}

/** As `findStanza`, and it must be there. Throws `E_PGBACKREST`. */
export async function requireStanza(
  program: PgBackRest,
  repository: number,
  signal?: AbortSignal,
): Promise<StanzaInfo> {
  const found = await findStanza(program, repository, signal);
  if (found !== undefined) return found;
  const { stanza } = program.target;
  throw new UsageError("E_PGBACKREST", `pgBackRest's repository ${repository} has no stanza "${stanza}"`, {
    hint: "make it with: ops pitr setup; or mend stanza, repository and config in the pitr settings",
  });
}

/** Whether a backup, or an expiry, of the stanza runs on this machine. */
export async function isBusy(program: PgBackRest, signal?: AbortSignal): Promise<boolean> {
  return (await readStanza(program, [], signal)).status.lock?.backup.held === true;
}

export interface BackedUpTablespace {
  readonly oid: number;
}

export async function tablespacesOf(
  program: PgBackRest,
  repository: number,
  label: string,
  signal?: AbortSignal,
): Promise<readonly BackedUpTablespace[]> {
  const stanza = await readStanza(program, [`--repo=${repository}`, `--set=${label}`], signal);
  return stanza.backup[0]?.tablespace ?? [];
}

async function readStanza(program: PgBackRest, options: readonly string[], signal?: AbortSignal) {
  const text = await program.read("info", ["--output=json", ...options], signal);
  const result = z.array(stanzaSchema).safeParse(parsed(text));
  const [stanza] = result.data ?? [];
  if (stanza !== undefined) return stanza;
  throw new OpsError("E_PGBACKREST", "pgbackrest info answers in a form that ops does not know", {
    cause: result.error,
    hint: "pgBackRest 2.41 or later is needed; see: pgbackrest version",
    retryable: false,
  });
}

/**
 * A system identifier has 64 bits, more than a number here; and what a wrong key makes of a file is quoted as it is, with
 * bytes that JSON does not allow. Undefined for what is no JSON even so.
 */
function parsed(text: string): unknown {
  try {
    return JSON.parse(text.replace(/\p{Cc}/gu, " ").replace(/("system-id":)(\d+)/g, '$1"$2"'));
  } catch {
    // The schema refuses it, with a way out.
    return undefined;
  }
}

/** Undefined for one that was made of a stopped server, which has no WAL to go on with. */
function backupOf(record: BackupRecord, currentId: number): StanzaBackup | undefined {
  const { archive, lsn, timestamp, info } = record;
  if (archive.start === null || lsn?.start === undefined || lsn.stop === undefined) return undefined;
  const foreign = record.database.id !== currentId;
  return {
    label: record.label,
    type: record.type,
    prior: record.prior,
    damage: foreign
      ? "it is of the cluster before stanza-upgrade"
      : record.error === true
        ? "pages in it have a wrong checksum"
        : null,
    timeline: Number.parseInt(archive.start.slice(0, 8), 16),
    startSegment: archive.start,
    startLsn: formatLsn(parseLsn(lsn.start)),
    stopLsn: formatLsn(parseLsn(lsn.stop)),
    startedAt: timestamp.start,
    stoppedAt: timestamp.stop,
    plainBytes: info.size,
    bytes: info.repository.delta ?? info.repository.size ?? 0,
    annotations: record.annotation ?? {},
  };
}
