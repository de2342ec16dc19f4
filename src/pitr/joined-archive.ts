import type { DatabaseTarget, Environment, StoreTarget } from "../config/environment.ts";
import { errorRecord, OpsError } from "../core/errors.ts";
import { openerFor } from "../crypto/encryption.ts";
import { trustedSignersOf } from "../crypto/trusted-signers.ts";
import { findProgram } from "../postgres/programs.ts";
import { openStore } from "../storage/open-store.ts";
import { requireBase } from "../wal-archive/base-catalog.ts";
import type { BaseManifest } from "../wal-archive/base-manifest.ts";
import { readLive } from "../wal-archive/live-part.ts";
import { readArchivedFile } from "../wal-archive/read-file.ts";
import { findPoint, type RestorePoint } from "../wal-archive/restore-point.ts";
import { parseWalFile } from "../wal-archive/segment.ts";
import type { Archive, FillWork } from "./archive.ts";
import { type ArchiveState, newestFirst, readArchive } from "./archive-state.ts";
import { archiveStore, archiveStores } from "./archive-stores.ts";
import type { Chosen } from "./choose-base.ts";
import { commandOfServer } from "./command-line.ts";
import { walGap } from "./missing-wal.ts";
import { restoreFiles } from "./restore-files.ts";
import type { RestoreTarget } from "./restore-target.ts";

/**
 * What the stores of a cluster's archive have together: what is damaged or missing in one is taken from the next. A
 * store that cannot be read is left out, from `state()` on; the first one's error is thrown where none can be read.
 */
export class JoinedArchive implements Omit<Archive, "list"> {
  private readonly database: DatabaseTarget;
  private targets: readonly StoreTarget[];

  /** @param names default: all stores of the database's archive. Throws `E_TARGET`. */
  constructor(database: DatabaseTarget, names: readonly string[] | undefined) {
    this.database = database;
    this.targets = names?.map((each) => archiveStore(database, each)) ?? archiveStores(database);
  }

  get store(): string {
    return this.targets.map((each) => each.name).join(",");
  }

  async state(): Promise<ArchiveState<BaseManifest>> {
    const { found, unread } = await this.ofEach(async (target) => {
      await openerFor(target);
      return readArchive(target, this.database.name);
    });
    this.targets = this.targets.filter(({ name }) => unread.every((each) => each.store !== name));
    const bases = new Map(found.flatMap((each) => each.bases.map((base) => [base.id, base])));
    const broken = new Set(found.flatMap((each) => each.broken.filter((id) => !bases.has(id))));
    return {
      bases: [...bases.values()].sort(newestFirst),
      broken: [...broken],
      segments: new Set(found.flatMap((each) => [...each.segments])),
      live: longest(found.flatMap((each) => [...each.live])),
      histories: new Map(found.flatMap((each) => [...each.histories])),
      unread,
    };
  }

  async base(id: string): Promise<BaseManifest> {
    const { found } = await this.ofEach(async (target) =>
      requireBase(openStore(target), this.database.name, id, await trustedSignersOf(target)),
    );
    const [first] = found;
    if (first === undefined) throw new Error("an archive without a store");
    return first;
  }

  async segment(name: string, size: number, signal: AbortSignal): Promise<Buffer> {
    const { found: stores } = await this.ofEach(async (target) => ({
      name: target.name,
      store: openStore(target),
      opener: await openerFor(target),
    }));
    try {
      return await readArchivedFile(stores, this.database.name, name, signal);
    } catch (error) {
      if (!(error instanceof OpsError) || error.code !== "E_WAL_MISSING") throw error;
      const live = await readLive(stores, this.database.name, name, size, signal);
      if (live === undefined) throw error;
      return live.content;
    }
  }

  async findPoint(name: string): Promise<RestorePoint | undefined> {
    const { found } = await this.ofEach((target) => findPoint(openStore(target), this.database.name, name));
    return found.find((each) => each !== undefined);
  }

  /**
   * A gap within a timeline may be a segment that is just being archived, and `wal fetch` waits for it; what a timeline
   * that was left does not have by now does not come any more.
   */
  async requireRestorable({ base, line, reach }: Chosen, target: RestoreTarget): Promise<void> {
    await findProgram("pg_verifybackup", Number.parseInt(base.serverVersion, 10));
    const { missing, isGap } = reach;
    const isLeft = parseWalFile(missing)?.timeline !== line.timeline;
    if (target.kind === "latest" && isGap && isLeft)
      throw walGap(`The archive of ${this.database.name}`, missing);
  }

  async fill(work: FillWork): Promise<void> {
    const chain = await Promise.all([...work.ancestors, work.base].map((id) => this.base(id)));
    const { found: sources } = await this.ofEach(async (target) => ({
      store: openStore(target),
      opener: await openerFor(target),
    }));
    await restoreFiles({ ...work, sources, chain });
  }

  /** Stores that are left out must not keep the server from hearing that the log ends. */
  restoreCommand(environment: Environment): string {
    const isAll = archiveStores(this.database).length === this.targets.length;
    const stores = isAll ? [] : ["--stores", this.store];
    return commandOfServer(environment, this.database.name, ["wal", "fetch", "%f", "%p", ...stores]);
  }

  /** In their order. Throws the first failure where all fail. */
  private async ofEach<T>(work: (target: StoreTarget) => Promise<T>) {
    const found: T[] = [];
    const unread: { store: string; reason: string }[] = [];
    let failure: unknown;
    for (const target of this.targets) {
      try {
        found.push(await work(target));
      } catch (error) {
        if (!(error instanceof OpsError)) throw error;
        failure ??= error;
        unread.push({ store: target.name, reason: errorRecord(error).message });
      }
    }
    if (found.length === 0 && failure !== undefined) throw failure;
    return { found, unread };
  }
}

/** The receiver's stores may be a little apart. */
function longest(parts: readonly (readonly [string, number])[]): Map<string, number> {
  const found = new Map<string, number>();
  for (const [segment, bytes] of parts) found.set(segment, Math.max(bytes, found.get(segment) ?? 0));
  return found;
}
