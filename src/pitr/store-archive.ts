import type { DatabaseTarget, StoreTarget } from "../config/environment.ts";
import { trustedSignersOf } from "../crypto/trusted-signers.ts";
import type { ObjectStore } from "../storage/object-store.ts";
import { openStore } from "../storage/open-store.ts";
import { readBaseCatalog, wholeBases } from "../wal-archive/base-catalog.ts";
import { chainOf } from "../wal-archive/base-chain.ts";
import { type BaseManifest, storedBytes } from "../wal-archive/base-manifest.ts";
import type { Archive } from "./archive.ts";
import { type ArchiveState, readArchive } from "./archive-state.ts";
import { archiveStore } from "./archive-stores.ts";
import { JoinedArchive } from "./joined-archive.ts";
import { brokenBase, type ListedBase, listedBase } from "./listed-base.ts";
import { missingSegments } from "./missing-wal.ts";

/** The archive that ops itself keeps of a cluster in one of its stores. */
export class StoreArchive extends JoinedArchive implements Archive {
  private readonly name: string;
  private readonly target: StoreTarget;
  private readonly objects: ObjectStore;

  /** @param name default: the first store of the database's archive. Throws `E_TARGET`. */
  constructor(database: DatabaseTarget, name: string | undefined) {
    const target = archiveStore(database, name);
    super(database, [target.name]);
    this.target = target;
    this.name = database.name;
    this.objects = openStore(target);
  }

  /** Needs no identity where there is no history to open. */
  override state(): Promise<ArchiveState<BaseManifest>> {
    return readArchive(this.target, this.name);
  }

  async list(now: Date): Promise<ListedBase[]> {
    const bases: ListedBase[] = [];
    const signers = await trustedSignersOf(this.target);
    const entries = await readBaseCatalog(this.objects, this.name, signers);
    const whole = wholeBases(entries);
    for (const entry of entries) {
      if (entry.status === "broken") {
        bases.push(brokenBase(entry.id, entry.reason));
        continue;
      }
      const { manifest } = entry.sealed;
      const chain = chainOf(whole, entry.id) ?? [manifest];
      const [missing] = await missingSegments(this.objects, this.name, manifest);
      const stored = {
        bytes: storedBytes(manifest),
        parent: manifest.parent ?? null,
        chain: chain.map((each) => ({ id: each.id, bytes: storedBytes(each) })),
        tablespaces: manifest.objects.filter((each) => each.content === "tablespace").length,
        missing,
      };
      bases.push(listedBase(manifest, stored, now));
    }
    return bases;
  }
}
