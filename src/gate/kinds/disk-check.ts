import { resolve } from "node:path";
import { z } from "zod";
import { counted } from "../../core/counted.ts";
import type { Json } from "../../core/errors.ts";
import { formatPercent } from "../../core/percent.ts";
import { duration, name, percentage, size } from "../../core/schema.ts";
import { formatBytes } from "../../core/size.ts";
import { exceeds, parseThreshold, type Threshold } from "../../core/threshold.ts";
import { withCatalog } from "../../postgres-health/catalog.ts";
import { readServerFiles } from "../../postgres-health/server-disk.ts";
import { type CheckLimits, defineCheck, type Judgement } from "../../run/check.ts";
import { type FileSystemRoom, roomOf } from "./file-system.ts";

const usualLimit = parseThreshold("< 10%");
const usualWarning = parseThreshold("< 20%");

const input = z
  .strictObject({
    path: z.string().min(1).optional().describe("A path on this machine, whose file system is looked at"),
    database: name(
      "A database whose server's disks are looked at, where they are on this machine",
    ).optional(),
    inodes: percentage("Fails where fewer inodes are free").prefault("5%"),
    mounted: z
      .boolean()
      .default(false)
      .describe("A file system must begin at the path: a disk that is not mounted leaves an empty folder"),
    "wal-size": size("Fails where pg_wal of the database's server is larger: 20GiB").optional(),
    timeout: duration("How long it may take").prefault("10s"),
  })
  .superRefine((value, context) => {
    const both = value.path !== undefined && value.database !== undefined;
    if (both || (value.path === undefined && value.database === undefined)) {
      context.addIssue({ code: "custom", message: "needs either path or database", path: ["path"] });
    }
    if (value["wal-size"] !== undefined && value.database === undefined) {
      context.addIssue({ code: "custom", message: "needs database", path: ["wal-size"] });
    }
    if (value.mounted && value.path === undefined) {
      context.addIssue({ code: "custom", message: "needs path", path: ["mounted"] });
    }
  });

type Evidence = {
  /** Null: on another machine. */
  rooms: FileSystemRoom[] | null;
  server: { walBytes: number; maxWalBytes: number; databasesBytes: number } | null;
};

export const diskCheck = defineCheck({
  kind: "disk",
  summary: "What is free of the file system of a path, or of a database server's disks: percent or bytes",
  why: "PostgreSQL stops when its disk is full, and a backup that finds no room is none.",
  remedy:
    "Remove what is not needed or make the disk larger; never delete in pg_wal: see slots and archiving, which hold it back.",
  input,
  limitUnits: ["percent", "bytes"],

  async measure(context, { path, database, timeout }) {
    const { rooms, server } =
      path !== undefined
        ? { rooms: [await roomOf(resolve(context.environment.directory, path))], server: null }
        : await withCatalog(
            context.environment.database(database),
            { timeout, signal: context.signal },
            async (catalog) => {
              const { here, folders, ...sizes } = await readServerFiles(catalog);
              const seen = here ? await Promise.all(folders.map(roomOf)) : null;
              return { rooms: seen, server: sizes };
            },
          );
    const least = rooms === null ? null : Math.min(...rooms.map((each) => each.freePercent));
    return {
      value: least,
      shown: least === null ? "the disk is not here" : `${formatPercent(least)} free`,
      evidence: JSON.parse(JSON.stringify({ rooms, server })) as Json,
    };
  },

  judge({ evidence }, settings, limits) {
    return judge(evidence as unknown as Evidence, settings, limits);
  },
});

function judge(
  { rooms, server }: Evidence,
  { inodes, mounted, "wal-size": mostWal, database }: z.output<typeof input>,
  limits: CheckLimits,
): Judgement {
  const isUsual = limits.fail === undefined && limits.warn === undefined;
  const fail = limits.fail ?? (isUsual ? usualLimit : undefined);
  const warn = limits.warn ?? (isUsual ? usualWarning : undefined);
  const log = server === null ? "" : `pg_wal holds ${formatBytes(server.walBytes)}`;
  const tooMuchLog =
    server !== null && mostWal !== undefined && server.walBytes > mostWal
      ? [`${log}, limit ${formatBytes(mostWal)}`]
      : [];
  if (rooms === null) {
    if (tooMuchLog.length > 0) return { status: "fail", reason: tooMuchLog.join() };
    const elsewhere = `the disk of the server of ${database} cannot be seen from here`;
    // The size of pg_wal alone was asked for.
    if (mostWal !== undefined && isUsual) {
      return { status: "pass", reason: `${log}, within limit ${formatBytes(mostWal)}; ${elsewhere}` };
    }
    const reason = `${elsewhere}: run ops there as the server's user, or ask a Prometheus (node_filesystem_avail_bytes)`;
    return { status: "unknown", reason };
  }
  const beyond = (limit: Threshold | undefined) =>
    distinct(rooms).filter(
      (each) =>
        limit !== undefined && exceeds(limit.unit === "bytes" ? each.freeBytes : each.freePercent, limit),
    );
  const failed = [
    ...rooms.filter((each) => mounted && !each.isMounted).map((each) => `${each.path} is not mounted`),
    ...rooms.filter((each) => each.isReadOnly).map((each) => `${each.path} is mounted without writing`),
    ...beyond(fail).map((each) => `${free(each)}, limit ${fail?.text}`),
    ...distinct(rooms)
      .filter((each) => each.freeInodesPercent !== null && each.freeInodesPercent < inodes)
      .map(
        (each) =>
          `${each.path} has ${formatPercent(each.freeInodesPercent ?? 0)} of its inodes free, limit < ${formatPercent(inodes)}`,
      ),
    ...tooMuchLog,
  ];
  if (failed.length > 0) return { status: "fail", reason: failed.join("; ") };
  const warned = beyond(warn);
  if (warned.length > 0) {
    return {
      status: "warn",
      reason: warned.map((each) => `${free(each)}, limit ${warn?.text}`).join("; "),
    };
  }
  const [least] = [...rooms].sort((a, b) => a.freePercent - b.freePercent);
  const of =
    distinct(rooms).length > 1 ? `${counted(distinct(rooms).length, "file system")}, least room: ` : "";
  const shown = least === undefined ? "" : free(least);
  return { status: "pass", reason: [`${of}${shown}`, ...(log === "" ? [] : [log])].join("; ") };
}

/** Folders of one file system have the same room: it is told once. */
function distinct(rooms: readonly FileSystemRoom[]): FileSystemRoom[] {
  return rooms.filter((each, index) => rooms.findIndex((one) => one.device === each.device) === index);
}

function free({ path, freeBytes, freePercent }: FileSystemRoom): string {
  return `${path} has ${formatBytes(freeBytes)} free (${formatPercent(freePercent)})`;
}
