import { z } from "zod";
import type { StoreTarget } from "../config/environment.ts";
import { formatDuration } from "../core/duration.ts";
import { ExitCode, OpsError } from "../core/errors.ts";
import { name } from "../core/schema.ts";
import { formatBytes } from "../core/size.ts";
import { prometheusFile, refuseMissingFolder, writeMetrics } from "../metrics/file.ts";
import type { OperationContext } from "../run/context.ts";
import { defineOperation } from "../run/operation.ts";
import { plainScreen } from "../run/screen.ts";
import type { ObjectStore } from "../storage/object-store.ts";
import { openStore } from "../storage/open-store.ts";
import { readCluster } from "../wal-archive/cluster.ts";
import { listWal } from "../wal-archive/contents.ts";
import { listLive, liveChainOf } from "../wal-archive/live-part.ts";
import { type Lsn, lsn } from "../wal-archive/lsn.ts";
import { parseSegment, startOf } from "../wal-archive/segment.ts";
import { type ArchivingServer, type Receiver, readServer } from "../wal-server/server.ts";
import { pitrOf } from "./archive.ts";
import { prometheusText } from "./prometheus.ts";
import { foreignArchive, readRepository, standingOr } from "./read-standing.ts";
import {
  fullIn,
  lagOf,
  lost,
  notArchiving,
  type StoreStanding,
  slotGone,
  storeStanding,
  storeStandingSchema,
  warningsOf,
} from "./standing.ts";

const output = z.object({
  database: z.string(),
  timeline: z.number(),
  position: z.string().describe("Where the server writes its log"),
  archives: z.boolean().describe("Whether archive_mode is on and archive_command is set"),
  isOurs: z.boolean().describe("Whether archive_command is that of this archive"),
  lagMs: z
    .number()
    .nullable()
    .describe(
      "How old what would be lost with the server may be, the open segment included; null: not known",
    ),
  receiver: z
    .object({
      slot: z.string(),
      active: z.boolean().describe("Whether ops wal receive is connected"),
      keptBytes: z.number().nullable().describe("What the server keeps for it; null: it gave the slot up"),
      lagMs: z.number().describe("How long it took lately until what was written was in the stores"),
    })
    .nullable()
    .describe("Null where there is no replication slot for ops wal receive"),
  failing: z.string().nullable().describe("The file at which the last attempt failed, if it did"),
  waiting: z.number().describe("Finished files that are not archived yet"),
  waitingMs: z.number().describe("How long the oldest of them waits"),
  walBytes: z.number().describe("Size of pg_wal"),
  freeBytes: z.number().nullable().describe("Free on its file system; null on another machine"),
  fullInMs: z
    .number()
    .nullable()
    .describe(
      "When it is full, as fast as WAL has piled up since the oldest file or the slot waits; null: nothing has waited for a minute",
    ),
  stores: z.array(storeStandingSchema),
  lost: z.array(z.string()).describe("Stores that lack what the server waits for nobody to archive"),
  warnings: z.array(z.string()),
});

export type WalStatus = z.output<typeof output>;

/** Reads the server and every store of its archive. A store that cannot be read hides nothing of the others. */
export async function readStatus(context: OperationContext, database?: string): Promise<WalStatus> {
  const target = context.environment.database(database);
  const pitr = target.pitr?.engine === "pgbackrest" ? target.pitr : pitrOf(target);
  const server = await readServer(target, context.signal);
  const stores = await Promise.all(
    pitr.engine === "pgbackrest"
      ? [readRepository(context, pitr, server)]
      : pitr.stores.map((store) => readStore(context, store, target.name, server)),
  );
  const { timeline, position, archives, isOurs, failing, waiting, waitingMs, walBytes, disk } = server;
  return {
    database: target.name,
    timeline,
    position,
    archives,
    isOurs,
    lagMs: lagOf(server, stores),
    receiver: receiverOf(server.receiver),
    failing,
    waiting,
    waitingMs,
    walBytes,
    freeBytes: disk?.freeBytes ?? null,
    fullInMs: fullIn(server),
    stores,
    lost: stores.flatMap((each) => lost(server, each) ?? []),
    warnings: warningsOf(server, stores),
  };
}

export const status = defineOperation({
  name: "wal.status",
  summary: "Show how the archive of a cluster's log stands; exit code 3 where it does not keep up",
  example: "wal status --database main",
  effect: "read",
  input: z.strictObject({
    database: name("The database whose cluster is archived").optional(),
    prometheus: prometheusFile,
  }),
  output,
  observe: async () => null,
  plan: () => [],
  async apply(context, { database, prometheus }) {
    if (prometheus !== undefined) await refuseMissingFolder(prometheus);
    const result = await readStatus(context, database);
    if (prometheus !== undefined) {
      const text = prometheusText(result, context.environment.name, context.clock.now());
      await writeMetrics(prometheus, text);
    }
    return result;
  },

  failure({ database, archives, receiver, failing, stores, lost }) {
    const unread = stores.filter((each) => each.error !== null).map((each) => each.store);
    const why = [
      ...(archives || receiver?.active === true
        ? []
        : [`${notArchiving} and nothing receives${receiver === null ? "" : ` from ${receiver.slot}`}`]),
      ...(receiver !== null && receiver.keptBytes === null ? [slotGone(receiver)] : []),
      ...lost,
      ...(failing === null ? [] : [`the server fails to archive ${failing}`]),
      ...unread.map((each) => `store ${each} has no archive of it that can be read`),
    ];
    if (why.length === 0) return undefined;
    return new OpsError("E_WAL_STATUS", `The log of ${database} is not archived: ${why.join("; ")}`, {
      hint: "the server's log has what the archive_command said (docs/wal.md)",
      exitCode: ExitCode.noGo,
    });
  },

  render(result, { color } = plainScreen) {
    const free = result.freeBytes === null ? "" : `, ${formatBytes(result.freeBytes)} free beside it`;
    const waiting =
      result.waiting === 0
        ? "nothing waits to be archived"
        : `${result.waiting} files wait, the oldest for ${formatDuration(result.waitingMs)}`;
    return [
      `${color.bold(result.database)}: timeline ${result.timeline}, at ${result.position}; ${waiting}`,
      `  pg_wal ${formatBytes(result.walBytes)}${free}`,
      ...(result.receiver === null ? [] : [renderReceiver(result.receiver)]),
      ...result.stores.flatMap((each) => renderStore(each)),
      ...result.warnings.map((each) => `${color.yellow("!")} ${each}`),
    ].join("\n");
  },
});

function receiverOf(receiver: Receiver | null): WalStatus["receiver"] {
  if (receiver === null) return null;
  const { slot, active, keptBytes, lagMs } = receiver;
  return { slot, active, keptBytes, lagMs };
}

function renderReceiver({ slot, active, lagMs }: Omit<Receiver, "restart">): string {
  return `  slot ${slot}: ${active ? `received, ${formatDuration(lagMs)} behind` : "nothing receives"}`;
}

function renderStore({ store, error, bytes, lagBytes, lagMs, timelines }: StoreStanding): string[] {
  if (error !== null) return [`  store ${store}: ${error}`];
  const lag =
    lagBytes === null ? "nothing of this timeline" : `${formatBytes(lagBytes)} behind${sinceWhen(lagMs)}`;
  return [
    `  store ${store}: ${lag}, ${formatBytes(bytes)} stored`,
    ...timelines.map(
      (each) =>
        `    timeline ${each.timeline}: ${each.segments} segments, to ${each.archivedUntil ?? "nowhere"}`,
    ),
  ];
}

function sinceWhen(lagMs: number | null): string {
  if (lagMs === null) return ", for how long is not known";
  return lagMs < 1000 ? "" : ` for ${formatDuration(lagMs)}`;
}

function readStore(
  context: OperationContext,
  target: StoreTarget,
  database: string,
  server: ArchivingServer,
): Promise<StoreStanding> {
  const { name: store } = target;
  return standingOr(context, store, async (unread) => {
    const opened = openStore(target);
    const cluster = await readCluster(opened, database);
    if (cluster === undefined) return unread("nothing was archived yet");
    if (cluster.systemIdentifier !== server.systemIdentifier)
      return unread(foreignArchive(cluster.systemIdentifier, server));
    const archived = await listWal(opened, database, cluster.segmentBytes);
    return storeStanding(store, server, archived, await liveUntil(opened, database, server));
  });
}

/** Where the live parts of the server's timeline end; undefined where there are none. */
async function liveUntil(store: ObjectStore, database: string, server: ArchivingServer) {
  const ends = [...(await listLive(store, database))].flatMap(([name, parts]) => {
    const segment = parseSegment(name, server.segmentBytes);
    if (segment === undefined || segment.timeline !== server.timeline) return [];
    return [lsn(startOf(segment, server.segmentBytes) + BigInt(liveChainOf(parts).bytes))];
  });
  return ends.reduce<Lsn | undefined>(
    (last, each) => (last === undefined || each > last ? each : last),
    undefined,
  );
}
