import { type FileHandle, open } from "node:fs/promises";
import { basename } from "node:path";
import { z } from "zod";
import type { DatabaseTarget } from "../config/environment.ts";
import { UsageError } from "../core/errors.ts";
import { name } from "../core/schema.ts";
import type { OperationContext } from "../run/context.ts";
import { defineOperation, type Report } from "../run/operation.ts";
import { type ArchiveStore, archiveFile } from "../wal-archive/archive-file.ts";
import type { ArchivedCluster } from "../wal-archive/cluster.ts";
import { claimKnownArchive } from "../wal-archive/known-archive.ts";
import { parseWalFile } from "../wal-archive/segment.ts";
import { headerBytes, readSegmentHeader } from "../wal-archive/segment-header.ts";
import { archiveStores, pitrOf } from "./archive.ts";
import { lowRoom } from "./disk-room.ts";
import { isDone, markDone } from "./done-mark.ts";
import { tryLock } from "./lock.ts";
import { hasHeader, headerFor, readyBeside, serverMajor } from "./ready.ts";
import { spoolOf } from "./spool.ts";
import { type Configuration, callOf, configurationAt, fileIdentity } from "./spool-note.ts";

/** Bytes of segments that are worked on at a time: memory is about twice that. */
const atATime = 64 * 2 ** 20;
/** Segments that are worked on at a time, at most. */
const mostParallel = 4;
/** No further file is begun after so many milliseconds: the server waits for this call when it shuts down. */
const aheadFor = 10_000;

export const push = defineOperation({
  name: "wal.push",
  summary: "Archive a file of pg_wal and all that wait beside it; PostgreSQL's archive_command",
  example: "wal push pg_wal/00000001000000000000002A --database main",
  effect: "change",
  // It is called for every segment, and safe to call again: the archive itself is the record.
  journaled: false,
  input: z.strictObject({
    path: z.string().min(1, "must not be empty").describe("The file, as PostgreSQL gives it: %p"),
    database: name("The database whose cluster is archived").optional(),
  }),
  positional: ["path"],
  output: z.object({
    archived: z.array(z.string()).describe("What is now durable in every store: the file, and others ahead"),
  }),
  observe: async () => null,
  plan: (_before, { path }) => [
    { target: "pg_wal", action: "run", summary: `archive ${basename(path)} and what waits beside it` },
  ],

  async apply(context, { path, database }, _before, report) {
    const file = basename(path);
    if (parseWalFile(file) === undefined) {
      throw new UsageError("E_WAL_SEGMENT", `"${file}" is no name of a file that PostgreSQL archives`, {
        hint: "give the command what PostgreSQL gives it: archive_command = 'ops wal push %p'",
      });
    }
    try {
      return await archiveWithOthers(context, context.environment.database(database), path, report);
    } catch (error) {
      // Whatever keeps it from the archive keeps it on this disk: the server's log says so before it is full.
      const low = await lowRoom(path).catch(() => undefined);
      if (low !== undefined) report.log(`wal push: ${low}`);
      throw error;
    }
  },

  // What an archive_command prints goes to the server's log, once for each segment.
  render: () => "",
});

async function archiveWithOthers(
  context: OperationContext,
  database: DatabaseTarget,
  path: string,
  report: Report,
): Promise<{ archived: string[] }> {
  const shipment = await Shipment.begin(context, database, path);
  const spool = spoolOf(path);
  const unlock = spool === undefined ? undefined : await lockAhead(spool.pushLock, report);
  try {
    const ahead = unlock === undefined ? [] : await readyBeside(path);
    return { archived: await shipment.ship(path, ahead) };
  } finally {
    await unlock?.();
  }
}

/** A folder that cannot be written to (a full disk, above all) must not keep the server from archiving. */
async function lockAhead(path: string, report: Report) {
  try {
    return await tryLock(path);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    report.log(`wal push: nothing is archived ahead of the server: ${why}`);
    return undefined;
  }
}

class Shipment {
  private readonly context: OperationContext;
  private readonly cluster: ArchivedCluster;
  private readonly compression: number;
  private readonly stores: readonly ArchiveStore[];
  private readonly configuration: Configuration | undefined;
  /** Of segments that are archived; the next ones are read into them. */
  private readonly spare: Buffer[] = [];

  private constructor(
    context: OperationContext,
    cluster: ArchivedCluster,
    compression: number,
    stores: readonly ArchiveStore[],
    configuration: Configuration | undefined,
  ) {
    this.context = context;
    this.cluster = cluster;
    this.compression = compression;
    this.stores = stores;
    this.configuration = configuration;
  }

  /** Throws `E_WAL_FOREIGN` where a store has the archive of another cluster. */
  static async begin(context: OperationContext, target: DatabaseTarget, path: string): Promise<Shipment> {
    const pitr = pitrOf(target);
    const { file } = context.environment;
    // As it was read: what is changed from now on is another one.
    const configuration = file === undefined ? undefined : configurationAt(file);
    const [header, major, stores] = await Promise.all([
      headerFor(path),
      serverMajor(path),
      archiveStores(pitr),
    ]);
    const cluster = {
      environment: context.environment.name,
      database: target.name,
      systemIdentifier: header.systemIdentifier,
      serverMajor: major,
      segmentBytes: header.segmentBytes,
    };
    const marks = spoolOf(path)?.archives;
    await Promise.all(stores.map(({ store }) => claimKnownArchive(store, cluster, marks)));
    return new Shipment(context, cluster, pitr.compression, stores, configuration);
  }

  /**
   * Resolves once the asked file is archived, and of the others as many as began in time. Only the asked one's failure
   * is thrown: the server asks for the others later, and hears of theirs then.
   */
  async ship(asked: string, ahead: readonly string[]): Promise<string[]> {
    const queue = [asked, ...ahead].values();
    const call = callOf(process.argv.slice(2), asked);
    const archived: string[] = [];
    const began = performance.now();
    let failed = false;
    let failure: unknown;
    const worker = async () => {
      for (const path of queue) {
        if (failed || (path !== asked && performance.now() - began > aheadFor)) return;
        try {
          await this.archive(path, path !== asked, call);
          archived.push(basename(path));
        } catch (error) {
          failed = true;
          if (path === asked) failure = error;
        }
      }
    };
    const workers = Math.max(1, Math.min(mostParallel, Math.floor(atATime / this.cluster.segmentBytes)));
    await Promise.all(Array.from({ length: workers }, worker));
    if (failure !== undefined) throw failure;
    return archived.sort();
  }

  /** @param isAhead of the server: it will ask for this file later */
  private async archive(path: string, isAhead: boolean, call: readonly string[]): Promise<void> {
    const identity = fileIdentity(path);
    if (isAhead && isDone(path, call)) return;
    const content = await this.read(path);
    const file = basename(path);
    if (hasHeader(file)) this.refuseOther(file, content);
    const { database } = this.cluster;
    const { compression } = this;
    await archiveFile(this.stores, { database, file, content, compression }, this.context.signal);
    if (content.length === this.cluster.segmentBytes) this.spare.push(content);
    const spool = spoolOf(path);
    const { configuration } = this;
    if (isAhead && spool !== undefined && configuration !== undefined)
      markDone(spool, file, { configuration, file: identity, call });
  }

  private async read(path: string): Promise<Buffer> {
    const file = await open(path, "r");
    try {
      const { size } = await file.stat();
      const isWhole = size === this.cluster.segmentBytes;
      const content = (isWhole ? this.spare.pop() : undefined) ?? Buffer.allocUnsafeSlow(size);
      await readWhole(file, content);
      return content;
    } finally {
      await file.close();
    }
  }

  private refuseOther(file: string, content: Buffer): void {
    const { systemIdentifier, segmentBytes } = readSegmentHeader(file, content.subarray(0, headerBytes));
    if (systemIdentifier === this.cluster.systemIdentifier && content.length === segmentBytes) return;
    const why =
      content.length === segmentBytes
        ? `is of the cluster ${systemIdentifier}, not ${this.cluster.systemIdentifier}`
        : `has ${content.length} bytes instead of ${segmentBytes}`;
    throw new UsageError("E_WAL_SEGMENT", `${file} ${why}`, {
      hint: "give the command what PostgreSQL gives it: archive_command = 'ops wal push %p'",
    });
  }
}

/** Throws where the file ends before. */
async function readWhole(file: FileHandle, content: Buffer): Promise<void> {
  for (let done = 0; done < content.length; ) {
    const { bytesRead } = await file.read(content, done, content.length - done, done);
    if (bytesRead === 0) throw new Error("the file became shorter while it was read");
    done += bytesRead;
  }
}
