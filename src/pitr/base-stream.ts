import type { FanOut } from "../archive/fan-out.ts";
import type { DatabaseTarget } from "../config/environment.ts";
import { OpsError } from "../core/errors.ts";
import type { Sealer } from "../crypto/sealer.ts";
import { BaseBackup, type BaseBackupPart, type LogPosition } from "../postgres/base-backup.ts";
import { ByteProgress } from "../run/byte-progress.ts";
import type { Report } from "../run/operation.ts";
import { released } from "../storage/released.ts";
import { compress } from "../storage/zstd.ts";
import { type BaseObject, baseObjectNames } from "../wal-archive/base-manifest.ts";
import { basePrefix } from "../wal-archive/layout.ts";

export interface BaseSettings {
  readonly id: string;
  /** The database target's name. */
  readonly database: string;
  /** The server that is read. */
  readonly server: DatabaseTarget;
  readonly isStandby: boolean;
  readonly checkpoint: "fast" | "spread";
  /** Undefined: a full one. */
  readonly parent?: BaseParent | undefined;
}

/** What a base backup is incremental to. */
export interface BaseParent {
  readonly id: string;
  /** PostgreSQL's own manifest of it. */
  readonly manifest: AsyncIterable<Uint8Array>;
}

export interface Streamed {
  readonly start: LogPosition;
  readonly stop: LogPosition;
  readonly objects: readonly BaseObject[];
  readonly plainBytes: number;
}

/**
 * From the server into the stores: compressed and encrypted as it comes, an object for each part. Memory is constant.
 * Throws `E_BASE_BACKUP` where the server changed its timeline on the way.
 */
export async function streamBase(
  settings: BaseSettings,
  out: FanOut,
  sealer: Sealer,
  report: Report,
  signal: AbortSignal,
): Promise<Streamed> {
  const { id, database, server, parent } = settings;
  report.progress({ message: `waiting for a checkpoint of ${server.name}` });
  const backup = await begin(settings, signal);
  try {
    const progress = new ByteProgress(
      report,
      `copying ${parent === undefined ? "the cluster" : "what changed"} of ${server.name}`,
      // The server counts whole files also where it sends parts of them.
      parent === undefined ? backup.expectedBytes : undefined,
    );
    const names = baseObjectNames(sealer.suffix);
    const objects: BaseObject[] = [];
    for await (const part of backup.parts()) {
      let plainBytes = 0;
      async function* counted(): AsyncGenerator<Uint8Array> {
        for await (const chunk of part.bytes) {
          plainBytes += chunk.length;
          progress.add(chunk.length);
          yield chunk;
        }
      }
      const name = `${basePrefix(database)}${id}/${nameOf(part, names)}`;
      const written = await out.put(name, sealer.encrypt(released(compress(counted()))), signal);
      objects.push({
        name,
        content: part.content,
        tablespace: part.tablespace ?? null,
        ...written,
        plainBytes,
      });
    }
    const { start, stop } = backup;
    if (start.timeline !== stop.timeline) {
      throw new OpsError(
        "E_BASE_BACKUP",
        `The server of ${server.name} was promoted during its base backup`,
        {
          hint: "make another one: ops pitr base create",
        },
      );
    }
    return { start, stop, objects, plainBytes: objects.reduce((sum, each) => sum + each.plainBytes, 0) };
  } catch (error) {
    if (!settings.isStandby || !(error instanceof OpsError) || error.code !== "E_SQL") throw error;
    throw new OpsError("E_STANDBY", `The standby of ${database} gave up its base backup`, {
      cause: error,
      hint: "make another one: ops pitr base create; of the primary with --from primary",
    });
  } finally {
    await backup.close();
  }
}

async function begin({ id, server, checkpoint, parent }: BaseSettings, signal: AbortSignal) {
  try {
    const options = { label: `ops ${id}`, checkpoint, parent: parent?.manifest, signal };
    return await BaseBackup.begin(server, options);
  } catch (error) {
    if (parent === undefined || !(error instanceof OpsError) || error.code !== "E_SQL") throw error;
    throw new OpsError(
      "E_INCREMENTAL",
      `The server of ${server.name} makes no base backup that is incremental to ${parent.id}`,
      { cause: error, hint: "make a full one: ops pitr base create", retryable: false },
    );
  }
}

function nameOf({ content, tablespace }: BaseBackupPart, names: ReturnType<typeof baseObjectNames>): string {
  return tablespace === undefined || content !== "tablespace"
    ? names[content === "manifest" ? "manifest" : "base"]
    : names.tablespace(tablespace.oid);
}
