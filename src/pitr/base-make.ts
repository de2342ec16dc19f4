import type { FanOut } from "../archive/fan-out.ts";
import { sameEncryption } from "../archive/same-encryption.ts";
import type { DatabaseTarget, StoreTarget } from "../config/environment.ts";
import { openerFor, sealerFor } from "../crypto/encryption.ts";
import { trustedSignersOf } from "../crypto/trusted-signers.ts";
import type { OperationContext } from "../run/context.ts";
import type { Report } from "../run/operation.ts";
import { openStore } from "../storage/open-store.ts";
import { corruptBase, readBaseObject, removeBase, requireBase } from "../wal-archive/base-catalog.ts";
import type { BaseManifest } from "../wal-archive/base-manifest.ts";
import { archiveMarks, claimKnownArchive } from "../wal-archive/known-archive.ts";
import { baseManifestObject } from "../wal-archive/layout.ts";
import { type ClusterFacts, observeAfterwards } from "./base-source.ts";
import { finishSegment, observeStandby, type Server, serverTarget } from "./base-standby.ts";
import { type BaseParent, streamBase } from "./base-stream.ts";

export interface BaseWork {
  readonly id: string;
  readonly database: DatabaseTarget;
  readonly targets: readonly StoreTarget[];
  readonly cluster: ClusterFacts;
  readonly server: Server;
  readonly parent: string | null;
  readonly checkpoint: "fast" | "spread";
}

/** Everything of a base backup but its manifest into the stores; the manifest is the result. */
export async function makeBase(
  context: OperationContext,
  work: BaseWork,
  out: FanOut,
  report: Report,
  signal: AbortSignal,
): Promise<BaseManifest> {
  const { id, database, targets, cluster, server, parent, checkpoint } = work;
  const { systemIdentifier, segmentBytes, serverMajor } = cluster;
  const environment = context.environment.name;
  // It may have been promoted since the plan.
  if (server === "standby") await observeStandby(database, cluster, signal);
  await out.each(({ store }) =>
    claimKnownArchive(
      store,
      { environment, database: database.name, systemIdentifier, serverMajor, segmentBytes },
      archiveMarks(context.stateDirectory),
    ),
  );
  // What an attempt that was killed has left.
  await out.each(({ store }) => removeBase(store, database.name, id));
  const sealer = await sealerFor(sameEncryption(targets));
  const startedAt = context.clock.now();
  const { start, stop, objects, plainBytes } = await streamBase(
    {
      id,
      database: database.name,
      server: serverTarget(database, server),
      isStandby: server === "standby",
      checkpoint,
      parent: await parentOf(database, targets, parent),
    },
    out,
    sealer,
    report,
    signal,
  );
  // By the primary in both cases: whatever is in the copy of a standby is older than this.
  const { now, nextTransaction } = await observeAfterwards(database, signal);
  if (server === "standby") await finishSegment(database, signal);
  return {
    format: "ops-base-backup",
    version: 1,
    id,
    ...(parent === null ? {} : { parent }),
    environment,
    database: database.name,
    systemIdentifier,
    serverVersion: cluster.serverVersion,
    segmentBytes,
    timeline: start.timeline,
    startLsn: start.lsn,
    stopLsn: stop.lsn,
    startedAt: startedAt.toISOString(),
    stoppedAt: roundedUp(now).toISOString(),
    nextTransaction,
    finishedAt: context.clock.now().toISOString(),
    run: context.runId ?? null,
    actor: context.actor,
    encryption: sealer.describe(),
    plainBytes,
    objects: [...objects],
  };
}

/** What the server must be told of the base backup that the new one is incremental to. */
async function parentOf(
  database: DatabaseTarget,
  targets: readonly StoreTarget[],
  id: string | null,
): Promise<BaseParent | undefined> {
  const [target] = targets;
  if (id === null || target === undefined) return undefined;
  const store = openStore(target);
  const { objects } = await requireBase(store, database.name, id, await trustedSignersOf(target));
  const object = objects.find((each) => each.content === "manifest");
  if (object === undefined) throw corruptBase(id, baseManifestObject(database.name, id), "names no manifest");
  return { id, manifest: readBaseObject(store, id, object, await openerFor(target)) };
}

/** The server counts microseconds. */
function roundedUp(moment: Date): Date {
  return new Date(moment.getTime() + 1);
}
