import type { OperationContext } from "./context.ts";
import type { Report } from "./operation.ts";

/** A moment of a cluster that was named before something was changed. */
export interface MadeRestorePoint {
  /** The database target. */
  readonly database: string;
  /** At most 63 bytes. */
  readonly name: string;
  /** `0/3000148` */
  readonly lsn: string;
  /** By the server's clock; RFC 3339, UTC. */
  readonly madeAt: string;
}

/** Names moments of clusters, contributed by the capability that knows how; loaded only where one is wanted. */
export interface RestorePointMaker {
  /**
   * Whether the WAL of the database's cluster is archived: only then can a named moment be restored to. Changes
   * nothing. Throws `E_RESTORE_POINT` where it is, and the database's user may not name a moment of it.
   */
  isArchived(context: OperationContext, database: string): Promise<boolean>;
  /** Once for each name: made before by the same run, it is the answer. */
  make(context: OperationContext, database: string, name: string, report: Report): Promise<MadeRestorePoint>;
}

/** For a person: what it is, and the command that goes back to it. */
export function shownRestorePoint({ database, name, lsn }: MadeRestorePoint): string {
  return (
    `restore point of ${database} at ${lsn}; ` +
    `to go back: ops pitr restore --database ${database} --to-name ${name} --target-dir DIR`
  );
}
