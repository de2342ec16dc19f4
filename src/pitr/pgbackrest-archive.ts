import type { Environment, PgBackRestTarget } from "../config/environment.ts";
import { OpsError, UsageError } from "../core/errors.ts";
import { listWal, readHistory, segmentBytesOf } from "../pgbackrest/archived-wal.ts";
import { requireStanza, type StanzaBackup, type StanzaInfo } from "../pgbackrest/info.ts";
import { PgBackRest } from "../pgbackrest/program.ts";
import { chainOf } from "../wal-archive/base-chain.ts";
import type { RestorePoint } from "../wal-archive/restore-point.ts";
import type { TimelineHistory } from "../wal-archive/timeline-history.ts";
import type { Archive, FillWork } from "./archive.ts";
import type { ArchivedBase, ArchiveState } from "./archive-state.ts";
import type { Chosen } from "./choose-base.ts";
import { shellCommand } from "./command-line.ts";
import { brokenBase, type ListedBase, listedBase } from "./listed-base.ts";
import { neededSegments, walGap } from "./missing-wal.ts";
import { annotatedPoints, nextTransactionKey } from "./pgbackrest-annotations.ts";
import { fillByPgBackRest } from "./pgbackrest-fill.ts";
import type { RestoreTarget } from "./restore-target.ts";

/** The archive that pgBackRest keeps of a cluster in one of its repositories. */
export class PgBackRestArchive implements Archive {
  readonly store: string;
  private readonly database: string;
  private readonly program: PgBackRest;
  private readonly repository: number;
  private readonly stanza: StanzaInfo;
  private readonly signal: AbortSignal;

  private constructor(
    database: string,
    program: PgBackRest,
    repository: number,
    stanza: StanzaInfo,
    signal: AbortSignal,
  ) {
    this.store = `repo${repository}`;
    this.database = database;
    this.program = program;
    this.repository = repository;
    this.stanza = stanza;
    this.signal = signal;
  }

  /** @param store `repo2`; default: the repository of the settings. Throws `E_TARGET`, `E_PROGRAM_MISSING`, `E_PGBACKREST`. */
  static async open(
    database: string,
    target: PgBackRestTarget,
    store: string | undefined,
    signal: AbortSignal,
  ): Promise<PgBackRestArchive> {
    const repository = repositoryOf(target, store);
    const program = await PgBackRest.find(target);
    const stanza = await requireStanza(program, repository, signal);
    return new PgBackRestArchive(database, program, repository, stanza, signal);
  }

  async state(): Promise<ArchiveState> {
    const { archiveId } = this.stanza;
    const { segments, histories } = await listWal(this.program, this.repository, archiveId, this.signal);
    const read: [number, TimelineHistory][] = [];
    for (const timeline of histories) {
      const history = await readHistory(this.program, this.repository, archiveId, timeline, this.signal);
      read.push([timeline, history]);
    }
    return {
      bases: this.stanza.backups.filter((each) => each.damage === null).map((each) => this.archived(each)),
      broken: this.stanza.backups.filter((each) => each.damage !== null).map((each) => each.label),
      segments,
      live: new Map(),
      histories: new Map(read),
    };
  }

  async list(now: Date): Promise<ListedBase[]> {
    const { segments } = await listWal(this.program, this.repository, this.stanza.archiveId, this.signal);
    const links = this.stanza.backups.map(({ label, prior, bytes }) => ({
      id: label,
      parent: prior ?? undefined,
      bytes,
    }));
    return this.stanza.backups.map((backup) => {
      if (backup.damage !== null) return brokenBase(backup.label, backup.damage);
      const base = this.archived(backup);
      const chain = chainOf(links, backup.label) ?? [];
      const missing = neededSegments(base).find((each) => !segments.has(each));
      const { bytes, prior: parent } = backup;
      return listedBase(base, { bytes, parent, chain, tablespaces: null, missing }, now);
    });
  }

  async base(id: string): Promise<ArchivedBase> {
    const found = this.stanza.backups.find((each) => each.label === id);
    if (found === undefined) {
      throw new UsageError("E_BACKUP_MISSING", `pgBackRest's ${this.store} has no base backup "${id}"`, {
        hint: `see what there is with: ops pitr base list --database ${this.database}`,
      });
    }
    if (found.damage === null) return this.archived(found);
    throw new OpsError("E_BACKUP_CORRUPT", `Base backup ${id} is damaged: ${found.damage}`, {
      hint: "restore from another one (--base ID; see: ops pitr base list), and make a new one: ops pitr base create",
      details: { id },
      retryable: false,
    });
  }

  /** `archive-get` wants the data folder of the cluster, and `repo-get` gives what is stored, compressed in its own way. */
  async segment(): Promise<undefined> {
    return undefined;
  }

  async findPoint(name: string): Promise<RestorePoint | undefined> {
    return annotatedPoints(this.database, this.stanza).get(name);
  }

  /** That the repository can be read is known by now. Throws `E_WAL_GAP` where the end of the archive cannot be reached. */
  async requireRestorable({ reach: { missing, isGap } }: Chosen, target: RestoreTarget): Promise<void> {
    // A server that replays would take the gap for the end of the log, and go on from there.
    if (target.kind !== "latest" || !isGap) return;
    throw walGap(`${this.store} of pgBackRest`, missing);
  }

  async fill(work: FillWork): Promise<void> {
    await fillByPgBackRest(this.program, this.repository, await this.base(work.base), work);
  }

  /**
   * archive-get ends with 1 where no repository has the file, and with a small number for every failure as well, which
   * PostgreSQL would take for the end of the log.
   */
  restoreCommand(_environment: Environment, directory: string): string {
    const words = this.program.commandLine([`--pg1-path=${directory}`], ["archive-get", "%f", "%p"]);
    return `${shellCommand(words)} || { test $? -eq 1 && exit 1; exit 255; }`;
  }

  private archived(backup: StanzaBackup): ArchivedBase {
    return {
      id: backup.label,
      systemIdentifier: this.stanza.systemIdentifier,
      serverVersion: this.stanza.serverVersion,
      segmentBytes: segmentBytesOf(this.stanza.backups),
      timeline: backup.timeline,
      startLsn: backup.startLsn,
      stopLsn: backup.stopLsn,
      stoppedAt: restorableFrom(backup),
      nextTransaction: backup.annotations[nextTransactionKey] ?? null,
      plainBytes: backup.plainBytes,
    };
  }
}

/** RFC 3339. pgBackRest tells whole seconds, rounded down: never early. */
export function restorableFrom({ stoppedAt }: StanzaBackup): string {
  return new Date((stoppedAt + 1) * 1000).toISOString();
}

/** `repo2` → 2; by default the one of the settings. Throws `E_TARGET`. */
export function repositoryOf({ repository }: PgBackRestTarget, store: string | undefined): number {
  if (store === undefined) return repository;
  const number = Number(/^repo([1-9]\d{0,2})$/.exec(store)?.[1]);
  if (number >= 1) return number;
  throw new UsageError("E_TARGET", `pgBackRest has no repository "${store}"`, {
    hint: "its repositories are numbered: --store repo1, repo2, …",
  });
}
