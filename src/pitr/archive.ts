import type { Environment } from "../config/environment.ts";
import type { ServerUser } from "../postgres/unprivileged.ts";
import type { Report } from "../run/operation.ts";
import type { RestorePoint } from "../wal-archive/restore-point.ts";
import type { ArchivedBase, ArchiveState } from "./archive-state.ts";
import type { Chosen } from "./choose-base.ts";
import type { ListedBase } from "./listed-base.ts";
import type { FilesDone } from "./restore-files.ts";
import type { RestoreFolder } from "./restore-folder.ts";
import type { RestoreTarget } from "./restore-target.ts";

/**
 * What a cluster is restored from: base backups and WAL, in one place. Each engine has its own; what chooses among them,
 * prepares the recovery and watches the replay is the same for all.
 */
export interface Archive {
  /** Of the place, for people and for `--store`: `offsite`, `repo1`. */
  readonly store: string;
  /** What there is, for the choice of a base backup and for the window. */
  state(): Promise<ArchiveState>;
  /** Everything that calls itself a base backup, newest first, with what is wrong with it. */
  list(now: Date): Promise<ListedBase[]>;
  /** Throws `E_BACKUP_MISSING`, `E_BACKUP_CORRUPT`. */
  base(id: string): Promise<ArchivedBase>;
  /**
   * The content of a segment, or what there is of it while it is being written with zeros behind. Undefined where the
   * engine does not give single ones. Throws `E_WAL_MISSING`, `E_WAL_CORRUPT`.
   */
  segment(name: string, size: number, signal: AbortSignal): Promise<Buffer | undefined>;
  /** Undefined where the archive knows none of this name. */
  findPoint(name: string): Promise<RestorePoint | undefined>;
  /** Throws before anything is written where this machine lacks a key or a program that restores need. */
  requireRestorable(chosen: Chosen, target: RestoreTarget): Promise<void>;
  /** The cluster's files into the folder, every one of them checked. Goes on with what an earlier attempt has done. */
  fill(work: FillWork): Promise<void>;
  /** A server's restore_command for the folder: exit code 1 only where there is no such file, more than 125 otherwise. */
  restoreCommand(environment: Environment, directory: string): string;
}

export interface FillWork {
  readonly base: string;
  /** What it is based on and has to be unpacked with it, the full one first. */
  readonly ancestors: readonly string[];
  readonly folder: RestoreFolder;
  readonly user: ServerUser;
  /** How many files, or objects, at once. */
  readonly jobs: number;
  readonly report: Report;
  readonly signal: AbortSignal;
  /** What an earlier attempt has finished. */
  readonly done: FilesDone;
  onDone(done: FilesDone): Promise<void>;
}
