import { randomBytes } from "node:crypto";
import { join, resolve } from "node:path";
import { z } from "zod";
import { formatDuration } from "../core/duration.ts";
import type { Json } from "../core/errors.ts";
import { UsageError } from "../core/errors.ts";
import { name, size } from "../core/schema.ts";
import { formatBytes } from "../core/size.ts";
import { serverBinaries } from "../postgres/binaries.ts";
import { stopCluster } from "../postgres/cluster.ts";
import { findProgram } from "../postgres/programs.ts";
import { serverUser } from "../postgres/unprivileged.ts";
import { interruptible } from "../run/interruptible.ts";
import { defineOperation } from "../run/operation.ts";
import { formatLsn, parseLsn } from "../wal-archive/lsn.ts";
import type { Archive } from "./archive.ts";
import { requireBeforeGap } from "./before-gap.ts";
import { chooseBase } from "./choose-base.ts";
import { openForRestore } from "./open-archive.ts";
import { removeRecovery, writeRecovery } from "./recovery-settings.ts";
import { type Replayed, replay } from "./replay.ts";
import { jobs, restoreCommand } from "./restore-fields.ts";
import { bytesOf, type FilesDone, filesSchema } from "./restore-files.ts";
import { RestoreFolder } from "./restore-folder.ts";
import { isOpen, parseTarget, type RestoreTarget, shownTarget, targetFields } from "./restore-target.ts";
import { serverEnvironment } from "./server-environment.ts";
import { syncFolder } from "./sync-folder.ts";

const input = z.strictObject({
  database: name("A database of the cluster").optional(),
  store: name(
    "Restore from this store only; default: from all of its pitr settings, as far as they are whole",
  ).optional(),
  ...targetFields,
  timeline: z.int().positive().optional().describe("Default: the newest one that the archive has"),
  base: z.string().optional().describe("The base backup to begin with; default: the best one"),
  "target-dir": z.string().min(1).describe("The new data folder; it must not exist, or be empty"),
  "tablespaces-dir": z
    .string()
    .min(1)
    .optional()
    .describe("Where tablespaces go, each in a folder named by its OID; default: <target-dir>.tablespaces"),
  action: z
    .enum(["promote", "pause"])
    .default("promote")
    .describe("At the target. promote: a server of its own; pause: read-only, to look first"),
  start: z.boolean().default(false).describe("Also start the server (on 127.0.0.1) and replay the WAL"),
  "shared-buffers": size(
    "Memory of the started server, as 2GiB; default: an eighth of what is free, at most 1GiB",
  )
    .refine((bytes) => bytes >= 2 ** 20, "must be at least 1MiB")
    .optional(),
  port: z.int().min(1).max(65_535).optional().describe("Of the started server; default: a free one"),
  jobs,
  "restore-command": restoreCommand,
});

const output = z.object({
  base: z.string().describe("The base backup"),
  target: z.string(),
  timeline: z.number(),
  directory: z.string(),
  state: z.enum(["prepared", "paused", "promoted"]),
  port: z.number().nullable(),
  stoppedAt: z
    .string()
    .nullable()
    .describe("Where the replay stopped, in the server's words; held against what was asked for"),
  replayedTo: z.string().nullable().describe("Position of the last record that was replayed"),
  lastTransaction: z.string().nullable().describe("When the last replayed transaction committed"),
  durationMs: z.number().describe("Of the attempt that finished it"),
});

const checkpointSchema = filesSchema.extend({ verified: z.boolean() });

/**
 * Guarantee: nothing that was there before is overwritten or removed. Every file is compared with its checksum, by us or
 * by pgBackRest, before a server sees it. Killed at any moment, it goes on with what is not unpacked yet, or with the
 * server that replays.
 */
export const restore = defineOperation({
  name: "pitr.restore",
  summary: "Restore a cluster to a moment, into a new data folder",
  example: "pitr restore --to-time 2026-11-21T14:31:59Z --target-dir /srv/restored --start",
  effect: "change",
  input,
  output,
  targets: (input) => [`folder:${resolve(input["target-dir"])}`],

  async observe(context, input) {
    const asked = parseTarget(input);
    if (asked.kind === "latest" && input.action === "pause") {
      throw new UsageError("E_INPUT", "A restore to the end of the archive has no target to pause at", {
        hint: "leave out --action pause, or name a moment: --to-time",
      });
    }
    const database = context.environment.database(input.database);
    const archive = await openForRestore(database, input.store, context.signal);
    const directory = resolve(input["target-dir"]);
    const folders = {
      directory,
      tablespaces: resolve(input["tablespaces-dir"] ?? `${directory}.tablespaces`),
    };
    await new RestoreFolder(folders.directory, folders.tablespaces, "").requireEmpty();
    const state = await archive.state();
    const target = await resolved(asked, archive);
    const chosen = chooseBase(database.name, state, {
      target,
      timeline: input.timeline,
      base: input.base,
      now: context.clock.now(),
    });
    const { base, chain, line, reach } = chosen;
    await archive.requireRestorable(chosen, target);
    const scratch = join(context.stateDirectory, "scratch");
    await requireBeforeGap(archive, chosen, target, state.segments, scratch, context.signal);
    await serverBinaries(Number.parseInt(base.serverVersion, 10));
    return {
      token: randomBytes(12).toString("hex"),
      database: database.name,
      store: archive.store,
      ...folders,
      base: base.id,
      basedOn: base.stoppedAt,
      ancestors: chain.slice(0, -1).map((each) => each.id),
      bytes: bytesOf(chain),
      target: { ...target } as RestoreTarget & { [key: string]: Json },
      timeline: line.timeline,
      until: formatLsn(reach.until),
      gap: reach.isGap ? reach.missing : null,
      passedOver: [...state.broken],
      isOpen: isOpen(target, state.bases),
      unread: (state.unread ?? []).map((each) => ({ ...each })),
    };
  },

  plan: (before, input) => [
    {
      target: `folder:${before.directory}`,
      action: "create",
      summary:
        `restore the cluster of ${before.database} to ${shownTarget(before.target)} from base backup ${before.base} ` +
        `(${before.basedOn})${input.start ? `, start it and ${input.action}` : ""}`,
    },
  ],

  notes: ({ target, isOpen, gap, passedOver, unread, ancestors, bytes }) => [
    ...(isOpen
      ? [
          `that the archive has a transaction behind ${shownTarget(target)} shows only in the replay, which otherwise ends ` +
            "with the time of the last one",
        ]
      : []),
    ...(gap === null || target.kind === "lsn"
      ? []
      : [
          `WAL ${gap} is not in the archive, but the log goes on behind it: the replay gets no further than that`,
        ]),
    ...unread.map(({ store, reason }) => `store ${store} cannot be read and is left out: ${reason}`),
    ...passedOver.map((each) => `base backup ${each} is broken; it is passed over`),
    ...(ancestors.length === 0
      ? []
      : [
          `it is incremental: ${ancestors.length} others are unpacked with it, and combined; ` +
            `on the way that takes up to ${formatBytes(bytes)} of disk`,
        ]),
  ],

  async apply(context, input, before, report) {
    const begin = context.clock.elapsed();
    const database = context.environment.database(input.database);
    const archive = await openForRestore(database, before.store, context.signal);
    const base = await archive.base(before.base);
    const major = Number.parseInt(base.serverVersion, 10);
    const folder = new RestoreFolder(before.directory, before.tablespaces, before.token);
    const user = await claimed(folder);
    const { verified, ...files } = checkpointSchema.parse(report.last ?? { verified: false });
    let done: FilesDone = files;
    const replayed = await interruptible(context, async (signal) => {
      if (!verified) {
        await removeRecovery(folder);
        await archive.fill({
          base: base.id,
          ancestors: before.ancestors,
          folder,
          user,
          jobs: input.jobs,
          report,
          signal,
          done,
          onDone: async (files) => {
            done = files;
            await report.checkpoint({ ...files, verified: false });
          },
        });
        await writeRecovery(
          folder,
          {
            target: before.target,
            timeline: before.timeline,
            action: input.action,
            restoreCommand:
              input["restore-command"] ?? archive.restoreCommand(context.environment, before.directory),
          },
          user,
        );
        // Everything is on the disk before it counts.
        await syncFolder(folder.directory, major, user, signal);
        await report.checkpoint({ ...done, verified: true });
      }
      if (!input.start) return undefined;
      const controldata = await findProgram("pg_controldata", major);
      const { port, "shared-buffers": sharedBuffers } = input;
      // Where a time or a transaction is in the log, only the replay shows.
      const { target } = before;
      const end = target.kind === "lsn" ? target.lsn : target.kind === "latest" ? before.until : undefined;
      return replay(
        context,
        {
          folder,
          base,
          target: before.target,
          controldata,
          port,
          sharedBuffers,
          until: end === undefined ? undefined : parseLsn(end),
          report,
          environment: serverEnvironment(context.environment, database),
        },
        signal,
      );
    });
    return {
      base: before.base,
      target: shownTarget(before.target),
      timeline: before.timeline,
      directory: before.directory,
      ...stateOf(replayed),
      durationMs: Math.round(context.clock.elapsed() - begin),
    };
  },

  async undo(_context, _input, before) {
    const folder = new RestoreFolder(before.directory, before.tablespaces, before.token);
    if (!(await folder.isOurs())) return { undone: true, note: `nothing of it is in ${before.directory}` };
    await stopCluster(before.directory);
    await folder.remove();
    return { undone: true, note: `${before.directory} is removed` };
  },

  render(done) {
    const what = `The cluster is restored to ${done.target} in ${done.directory} (base backup ${done.base}, timeline ${done.timeline}), in ${formatDuration(done.durationMs)}`;
    if (done.state === "prepared") {
      return `${what}\nPostgreSQL replays the WAL when it is started there: pg_ctl -D ${done.directory} start`;
    }
    const stopped = done.stoppedAt === null ? "" : `\nThe replay stopped ${done.stoppedAt}, as asked`;
    const to = done.replayedTo === null ? "" : `\nThe last record in it is at ${done.replayedTo}`;
    const last =
      done.lastTransaction === null ? "" : `\nThe last transaction in it is of ${done.lastTransaction}`;
    const state =
      done.state === "promoted"
        ? `It runs on 127.0.0.1:${done.port} as a server of its own; archive_mode is off`
        : `It is paused and read-only on 127.0.0.1:${done.port}; go on with: SELECT pg_wal_replay_resume()`;
    return `${what}${stopped}${to}${last}\n${state}`;
  },
});

/** A restore point that the archive knows is a position on its timeline. */
async function resolved(target: RestoreTarget, archive: Pick<Archive, "findPoint">): Promise<RestoreTarget> {
  if (target.kind !== "name") return target;
  const point = await archive.findPoint(target.name);
  return point === undefined
    ? target
    : { kind: "lsn", lsn: point.lsn, name: point.name, timeline: point.timeline };
}

async function claimed(folder: RestoreFolder): ReturnType<typeof serverUser> {
  // Above the folder nothing has to exist yet; which user it is does not depend on it.
  await folder.claim(await serverUser("/"));
  const user = await serverUser(folder.directory);
  await folder.claim(user);
  return user;
}

function stateOf(replayed: Replayed | undefined) {
  const nothing = { port: null, stoppedAt: null, replayedTo: null, lastTransaction: null };
  return replayed ?? { state: "prepared" as const, ...nothing };
}
