import type { DatabaseTarget } from "../config/environment.ts";
import { UsageError } from "../core/errors.ts";
import { requireStanza } from "../pgbackrest/info.ts";
import { PgBackRest } from "../pgbackrest/program.ts";
import type { OperationContext } from "../run/context.ts";
import type { Report } from "../run/operation.ts";
import type { ObjectStore } from "../storage/object-store.ts";
import { openStore } from "../storage/open-store.ts";
import { parseLsn } from "../wal-archive/lsn.ts";
import { findPoint, type RestorePoint, removePoint, writePoint } from "../wal-archive/restore-point.ts";
import { archiveStores, pitrOf } from "./archive-stores.ts";
import { annotate, annotatedPoints, noPointAnnotation, pointAnnotation } from "./pgbackrest-annotations.ts";

/** Where the names of moments are kept beside the WAL, with their positions. */
export interface PointRecords {
  find(name: string): Promise<RestorePoint | undefined>;
  /** Throws where a record could not be kept, before the name is made. */
  requireRoom(): Promise<void>;
  /** Once and again the same. Gives another one back that has the name, of a run that was quicker. */
  write(point: RestorePoint, report: Report): Promise<RestorePoint | undefined>;
  remove(name: string, report: Report): Promise<void>;
}

/** Throws `E_TARGET`, and `E_PROGRAM_MISSING` where pgBackRest is the engine and is not there. */
export async function pointRecords(
  context: OperationContext,
  database: DatabaseTarget,
): Promise<PointRecords> {
  const pitr = pitrOf(database);
  if (pitr.engine === "pgbackrest")
    return new AnnotatedPoints(context, database.name, await PgBackRest.find(pitr));
  return new StoredPoints(
    database.name,
    archiveStores(database).map((each) => openStore(each)),
  );
}

/** An object in every store of the archive. */
class StoredPoints implements PointRecords {
  private readonly database: string;
  private readonly stores: readonly ObjectStore[];

  constructor(database: string, stores: readonly ObjectStore[]) {
    this.database = database;
    this.stores = stores;
  }

  async find(name: string): Promise<RestorePoint | undefined> {
    for (const store of this.stores) {
      const found = await findPoint(store, this.database, name);
      if (found !== undefined) return found;
    }
    return undefined;
  }

  async requireRoom(): Promise<void> {
    // A store that cannot be written to says so in time: the WAL has the name all the same.
  }

  async write(point: RestorePoint): Promise<RestorePoint | undefined> {
    for (const store of this.stores) {
      if (await writePoint(store, point)) continue;
      const found = await findPoint(store, this.database, point.name);
      if (found !== undefined && found.lsn !== point.lsn) return found;
    }
    return undefined;
  }

  async remove(name: string): Promise<void> {
    for (const store of this.stores) await removePoint(store, this.database, name);
  }
}

/** Milliseconds that a point waits for a backup that runs. */
const patience = 60_000;

/** An annotation of the newest base backup before the moment. */
class AnnotatedPoints implements PointRecords {
  private readonly context: OperationContext;
  private readonly database: string;
  private readonly program: PgBackRest;

  constructor(context: OperationContext, database: string, program: PgBackRest) {
    this.context = context;
    this.database = database;
    this.program = program;
  }

  async find(name: string): Promise<RestorePoint | undefined> {
    return annotatedPoints(this.database, await this.stanza()).get(name);
  }

  async requireRoom(): Promise<void> {
    if ((await this.stanza()).backups.length === 0) throw this.withoutBase();
  }

  async write(point: RestorePoint, report: Report): Promise<undefined> {
    const { backups } = await this.stanza();
    const before = backups.find((each) => parseLsn(each.stopLsn) <= parseLsn(point.lsn));
    if (before === undefined) throw this.withoutBase();
    await this.annotate(before.label, pointAnnotation(point), report);
  }

  async remove(name: string, report: Report): Promise<void> {
    const { backups } = await this.stanza();
    for (const backup of backups) {
      if (annotatedPoints(this.database, { backups: [backup] }).has(name)) {
        await this.annotate(backup.label, noPointAnnotation(name), report);
      }
    }
  }

  private annotate(label: string, text: string, report: Report): Promise<void> {
    return annotate(this.context, this.program, label, [text], patience, report);
  }

  private stanza() {
    return requireStanza(this.program, this.program.target.repository, this.context.signal);
  }

  private withoutBase(): UsageError {
    return new UsageError(
      "E_BACKUP_MISSING",
      `There is no base backup of ${this.database} that a restore point could be restored from`,
      { hint: `make one with: ops pitr base create --database ${this.database}` },
    );
  }
}
