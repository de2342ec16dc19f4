import { z } from "zod";
import { manifestObject } from "../archive/backup-id.ts";
import { describeHold, holdOptions, placeHold } from "../archive/hold.ts";
import { clearLeftover, removeObjects, stillLocked, withdrawMark } from "../archive/leftovers.ts";
import type { StoreTarget } from "../config/environment.ts";
import { counted } from "../core/counted.ts";
import { duration, name } from "../core/schema.ts";
import { formatBytes } from "../core/size.ts";
import type { OperationContext } from "../run/context.ts";
import { type Change, defineOperation } from "../run/operation.ts";
import { isLocked } from "../storage/locked.ts";
import type { ObjectStore } from "../storage/object-store.ts";
import { openStore } from "../storage/open-store.ts";
import { survey } from "./prune-survey.ts";

const removedSchema = z.object({
  id: z.string(),
  bytes: z.number().nullable().describe("Stored; null where its manifest did not say"),
  why: z.string(),
});
const keptSchema = z.object({ id: z.string(), reasons: z.array(z.string()) });
const leftoverSchema = z.object({
  id: z.string().describe("The backup that it was to become, or was"),
  objects: z.number(),
  unfinished: z.number().describe("Writes that never ended"),
  bytes: z.number().describe("Of the whole objects"),
});

const output = z.object({
  store: z.string(),
  removed: z.array(removedSchema).describe("Oldest first"),
  kept: z.array(keptSchema).describe("Newest first"),
  others: z.number().describe("Backups of other environments and databases, which were not looked at"),
  leftovers: z.array(leftoverSchema).describe("Cleared"),
  busy: z
    .array(z.object({ id: z.string(), why: z.string() }))
    .describe("Left alone: not a backup, not yet a leftover"),
  freedBytes: z.number(),
});

/**
 * Guarantees: never removes the newest whole backup of a database, one under legal hold, one that a run of this journal
 * works with, or one of another environment. The manifest goes first, so a kill between any two removals leaves whole
 * backups and leftovers, which the next prune clears; never a listed backup with missing parts. What is removed was
 * planned and is still to be removed now. Two at once do the same work.
 */
export const prune = defineOperation({
  name: "backup.prune",
  summary: "Remove the backups that the store's retention no longer keeps, and what killed runs left",
  example: "backup prune --store local --dry-run",
  effect: "destroy",
  input: z.strictObject({
    store: name("The store").optional(),
    database: name("Only the backups of this database; default: all of the environment").optional(),
    broken: z
      .boolean()
      .default(false)
      .describe("Also remove broken backups that have a newer whole one: look at them first"),
    "ignore-future": z
      .boolean()
      .default(false)
      .describe("Keep a backup that is ahead of this machine's clock and go on, instead of refusing"),
    "leftovers-after": duration(
      "How long an unfinished backup must have shown no sign of life before it counts as left over",
    ).prefault("24h"),
  }),
  output,
  targets: (input, environment) => [`prune:${environment.store(input.store).name}`],

  async observe(context, input) {
    const target = context.environment.store(input.store);
    const { decisions, others, sizes, leftovers, begun } = await survey(context, target, input);
    return {
      store: target.name,
      removed: decisions
        .filter((each) => each.action === "remove")
        .map(({ id, reasons }) => ({ id, bytes: sizes.get(id) ?? null, why: reasons.join(", ") }))
        .reverse(),
      kept: decisions
        .filter((each) => each.action === "keep")
        .map(({ id, reasons }) => ({ id, reasons: [...reasons] })),
      others,
      leftovers: leftovers
        .filter((each) => each.busy === undefined)
        .map(({ id, objects, unfinished, bytes }) => ({ id, objects: objects.length, unfinished, bytes })),
      busy: leftovers.flatMap(({ id, busy }) => (busy === undefined ? [] : [{ id, why: busy }])),
      withdrawn: decisions.flatMap(({ id, action }) => (action === "keep" && begun.has(id) ? [id] : [])),
    };
  },

  plan: ({ store, removed, leftovers, withdrawn }): Change[] => [
    ...removed.map(({ id, bytes, why }) => ({
      target: `store:${store}`,
      action: "delete" as const,
      summary: `remove ${id}${bytes === null ? "" : ` (${formatBytes(bytes)})`}: ${why}`,
    })),
    ...leftovers.map((each) => ({
      target: `store:${store}`,
      action: "delete" as const,
      summary: `clear ${each.id}: ${describeLeftover(each)}`,
    })),
    ...withdrawn.map((id) => ({
      target: `store:${store}`,
      action: "delete" as const,
      summary: `withdraw the mark of an earlier prune from ${id}, which stays`,
    })),
  ],

  notes: (before) => keptLines(before),

  async apply(context, input, before, report) {
    const target = context.environment.store(input.store);
    const store = openStore(target);
    // Looked at again: since the plan, or since a crash, a hold may have come and the newest one may have gone.
    const now = await survey(context, target, input);
    const kept = new Map(
      now.decisions.filter((each) => each.action === "keep").map(({ id, reasons }) => [id, [...reasons]]),
    );
    const removed: z.output<typeof removedSchema>[] = [];
    for (const [index, each] of before.removed.entries()) {
      if (kept.has(each.id)) continue;
      context.safePoint();
      context.signal.throwIfAborted();
      report.progress({ message: `removing ${each.id}`, done: index, total: before.removed.length });
      const stays = await removeBackup(context, target, store, each.id);
      if (stays === undefined) removed.push(each);
      else kept.set(each.id, [stays]);
    }
    const leftovers: z.output<typeof leftoverSchema>[] = [];
    const busy = now.leftovers.flatMap(({ id, busy: why }) => (why === undefined ? [] : [{ id, why }]));
    const planned = new Set(before.leftovers.map((each) => each.id));
    for (const each of now.leftovers) {
      if (!planned.has(each.id) || each.busy !== undefined) continue;
      context.safePoint();
      context.signal.throwIfAborted();
      report.progress({ message: `clearing ${each.id}` });
      const stays = await clearLeftover(store, each);
      if (stays === undefined) leftovers.push({ ...each, objects: each.objects.length });
      else busy.push({ id: each.id, why: stays });
    }
    // Of a prune that was killed after its mark, or had another policy.
    for (const id of now.begun) if (kept.has(id)) await withdrawMark(store, id);
    return {
      store: target.name,
      removed,
      kept: [...kept].map(([id, reasons]) => ({ id, reasons })),
      others: now.others,
      leftovers: leftovers.map(({ id, objects, unfinished, bytes }) => ({ id, objects, unfinished, bytes })),
      busy,
      freedBytes: [...removed, ...leftovers].reduce((sum, each) => sum + (each.bytes ?? 0), 0),
    };
  },

  unchanged: ({ store, kept, others, busy }) => ({
    output: { store, removed: [], kept, others, leftovers: [], busy, freedBytes: 0 },
    warnings: [],
  }),

  render: (result) =>
    [
      `Store ${result.store}: ${counted(result.removed.length, "backup")} removed, ` +
        `${result.kept.length} kept, ${counted(result.leftovers.length, "leftover")} cleared, ` +
        `${formatBytes(result.freedBytes)} freed`,
      ...result.removed.map(
        ({ id, bytes, why }) => `  - ${id}${bytes === null ? "" : ` (${formatBytes(bytes)})`}: ${why}`,
      ),
      ...result.leftovers.map((each) => `  - ${each.id}: ${describeLeftover(each)}`),
      ...keptLines(result).map((line) => `  ${line}`),
    ].join("\n"),
});

/**
 * Removes a whole backup, or gives the reason why it stays. The mark excludes a legal hold, whichever comes first; once
 * it is durable, the manifest goes, and then the rest.
 */
async function removeBackup(
  context: OperationContext,
  target: StoreTarget,
  store: ObjectStore,
  id: string,
): Promise<string | undefined> {
  const now = context.clock.now();
  const mark = await placeHold(
    store,
    {
      format: "ops-hold",
      version: 1,
      backup: id,
      kind: "removal",
      reason: "retention",
      by: context.actor,
      at: now.toISOString(),
      run: context.runId ?? null,
    },
    holdOptions(target, now),
  );
  if (mark.kind === "legal") return describeHold(mark);
  try {
    await store.delete(manifestObject(id));
  } catch (error) {
    if (!isLocked(error)) throw error;
    await withdrawMark(store, id);
    return stillLocked;
  }
  await removeObjects(store, id);
  return undefined;
}

function keptLines(seen: {
  readonly kept: readonly z.output<typeof keptSchema>[];
  readonly busy: readonly { readonly id: string; readonly why: string }[];
  readonly others: number;
}): string[] {
  return [
    ...seen.kept.map(({ id, reasons }) => `= keep ${id}: ${reasons.join(", ")}`),
    ...seen.busy.map(({ id, why }) => `= leave ${id}, which is no backup: ${why}`),
    ...(seen.others === 0
      ? []
      : [`= ${counted(seen.others, "backup")} of other environments or databases not looked at`]),
  ];
}

function describeLeftover({ objects, unfinished, bytes }: z.output<typeof leftoverSchema>): string {
  const parts = [
    ...(objects === 0 ? [] : [`${counted(objects, "object")} without a manifest (${formatBytes(bytes)})`]),
    ...(unfinished === 0 ? [] : [counted(unfinished, "unfinished write")]),
  ];
  return parts.join(", ");
}
