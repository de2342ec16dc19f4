import type { DatabaseTarget, Environment, StoreTarget } from "../config/environment.ts";
import { openerFor } from "../crypto/encryption.ts";
import { trustedSignersOf } from "../crypto/trusted-signers.ts";
import { findProgram } from "../postgres/programs.ts";
import type { ObjectStore } from "../storage/object-store.ts";
import { openStore } from "../storage/open-store.ts";
import { readBaseCatalog, requireBase, wholeBases } from "../wal-archive/base-catalog.ts";
import { chainOf } from "../wal-archive/base-chain.ts";
import type { BaseManifest } from "../wal-archive/base-manifest.ts";
import { findPoint, type RestorePoint } from "../wal-archive/restore-point.ts";
import type { Archive, FillWork } from "./archive.ts";
import { type ArchivedBase, type ArchiveState, readArchive } from "./archive-state.ts";
import { archiveStore } from "./archive-stores.ts";
import { commandOfServer } from "./command-line.ts";
import { brokenBase, type ListedBase } from "./listed-base.ts";
import { missingSegments } from "./missing-wal.ts";
import { restoreFiles } from "./restore-files.ts";

/** The archive that ops itself keeps of a cluster in one of its stores. */
export class StoreArchive implements Archive {
  readonly store: string;
  private readonly database: string;
  private readonly target: StoreTarget;
  private readonly objects: ObjectStore;

  /** @param name default: the first store of the database's archive. Throws `E_TARGET`. */
  constructor(database: DatabaseTarget, name: string | undefined) {
    this.target = archiveStore(database, name);
    this.store = this.target.name;
    this.database = database.name;
    this.objects = openStore(this.target);
  }

  state(): Promise<ArchiveState> {
    return readArchive(this.target, this.database);
  }

  async list(now: Date): Promise<ListedBase[]> {
    const bases: ListedBase[] = [];
    const signers = await trustedSignersOf(this.target);
    const entries = await readBaseCatalog(this.objects, this.database, signers);
    const whole = wholeBases(entries);
    for (const entry of entries) {
      if (entry.status === "broken") {
        bases.push(brokenBase(entry.id, entry.reason));
        continue;
      }
      const { manifest } = entry.sealed;
      const chain = chainOf(whole, entry.id) ?? [manifest];
      const [missing] = await missingSegments(this.objects, this.database, manifest);
      bases.push({
        id: entry.id,
        status: missing === undefined ? "complete" : "wal-missing",
        reason: missing === undefined ? null : `WAL ${missing} is not in the archive`,
        restorableFrom: manifest.stoppedAt,
        ageMs: Math.max(0, now.getTime() - Date.parse(manifest.stoppedAt)),
        timeline: manifest.timeline,
        startLsn: manifest.startLsn,
        stopLsn: manifest.stopLsn,
        tablespaces: manifest.objects.filter((each) => each.content === "tablespace").length,
        bytes: storedBytes(manifest),
        parent: manifest.parent ?? null,
        chain: chain.map((each) => each.id),
        chainBytes: chain.reduce((sum, each) => sum + storedBytes(each), 0),
        plainBytes: manifest.plainBytes,
      });
    }
    return bases;
  }

  async base(id: string): Promise<BaseManifest> {
    return requireBase(this.objects, this.database, id, await trustedSignersOf(this.target));
  }

  findPoint(name: string): Promise<RestorePoint | undefined> {
    return findPoint(this.objects, this.database, name);
  }

  async requireRestorable({ serverVersion }: ArchivedBase): Promise<void> {
    await openerFor(this.target);
    await findProgram("pg_verifybackup", Number.parseInt(serverVersion, 10));
  }

  async fill(work: FillWork): Promise<void> {
    const chain = await Promise.all([...work.ancestors, work.base].map((id) => this.base(id)));
    await restoreFiles({ ...work, store: this.objects, chain, opener: await openerFor(this.target) });
  }

  restoreCommand(environment: Environment): string {
    return commandOfServer(environment, this.database, ["wal", "fetch", "%f", "%p"]);
  }
}

function storedBytes(manifest: BaseManifest): number {
  return manifest.objects.reduce((sum, each) => sum + each.bytes, 0);
}
