import { z } from "zod";
import { manifestObject } from "../archive/backup-id.ts";
import { findEntry } from "../archive/catalog.ts";
import { describeHold, type Hold, holdObject, holdOptions, placeHold, readHold } from "../archive/hold.ts";
import type { StoreTarget } from "../config/environment.ts";
import { OpsError } from "../core/errors.ts";
import { name } from "../core/schema.ts";
import { trustedSignersOf } from "../crypto/trusted-signers.ts";
import type { OperationContext } from "../run/context.ts";
import { defineOperation } from "../run/operation.ts";
import type { ObjectStore } from "../storage/object-store.ts";
import { openStore } from "../storage/open-store.ts";

const backup = z.string().describe("The backup's id");
const store = name("The store it is in").optional();

const output = z.object({
  id: z.string(),
  store: z.string(),
  held: z.boolean(),
  by: z.string().nullable().describe("Who placed the hold; null where there is none"),
  at: z.string().nullable(),
  reason: z.string().nullable(),
});

/**
 * Guarantee: when it has ended, no prune on any machine removes the backup until the hold is released; a prune that was
 * there first makes it fail. The hold is an object of the store, not of a machine.
 */
export const hold = defineOperation({
  name: "backup.hold",
  summary: "Place a backup under legal hold: nothing removes it before it is released",
  example: 'backup hold 20261121T020000Z-main-x7k2 --reason "case 4711"',
  effect: "change",
  input: z.strictObject({
    backup,
    store,
    reason: z.string().min(1).max(500).optional().describe("Why; shown wherever the backup is listed"),
  }),
  positional: ["backup"],
  output,
  targets: (input, environment) => [`hold:${environment.store(input.store).name}/${input.backup}`],

  async observe(context, input) {
    const target = context.environment.store(input.store);
    const opened = openStore(target);
    await findEntry(opened, await trustedSignersOf(target), input.backup);
    return { store: target.name, hold: await standingHold(opened, input.backup) };
  },

  plan: ({ store: place, hold: there }, input) =>
    there !== null
      ? []
      : [
          {
            target: `store:${place}`,
            action: "create",
            summary: `hold ${input.backup}${input.reason === undefined ? "" : `: ${input.reason}`}`,
          },
        ],

  async apply(context, input) {
    const target = context.environment.store(input.store);
    const opened = openStore(target);
    const placed = await placeLegalHold(context, target, opened, input.backup, input.reason ?? null);
    return asOutput(target, input.backup, placed);
  },

  async undo(context, input, before) {
    if (before.hold !== null) return { undone: "kept", note: "it was under legal hold before" };
    await openStore(context.environment.store(input.store)).delete(holdObject(input.backup));
    return { undone: true };
  },

  render: ({ id, by, at, reason }) =>
    `Backup ${id} is under legal hold by ${by} since ${at}${reason === null ? "" : `: ${reason}`}`,
});

export const release = defineOperation({
  name: "backup.release",
  summary: "Take the legal hold from a backup: from then on the store's retention decides",
  example: "backup release 20261121T020000Z-main-x7k2",
  effect: "change",
  input: z.strictObject({ backup, store }),
  positional: ["backup"],
  output: output.extend({ was: z.string().nullable().describe("The hold that was taken away") }),
  targets: (input, environment) => [`hold:${environment.store(input.store).name}/${input.backup}`],

  async observe(context, input) {
    const target = context.environment.store(input.store);
    const opened = openStore(target);
    await findEntry(opened, await trustedSignersOf(target), input.backup);
    try {
      return {
        store: target.name,
        hold: await standingHold(opened, input.backup),
        damaged: false,
      };
    } catch (error) {
      if (!(error instanceof OpsError) || error.code !== "E_HOLD") throw error;
      return { store: target.name, hold: null, damaged: true };
    }
  },

  plan: ({ store: place, hold: there, damaged }, input) =>
    there === null && !damaged
      ? []
      : [
          {
            target: `store:${place}`,
            action: "delete",
            summary: `release ${input.backup}: ${there === null ? "a hold that cannot be read" : describeHold(there)}`,
          },
        ],

  async apply(context, input, before) {
    const target = context.environment.store(input.store);
    if (before.hold !== null || before.damaged) await openStore(target).delete(holdObject(input.backup));
    return {
      ...asOutput(target, input.backup, undefined),
      was: before.hold === null ? null : describeHold(before.hold),
    };
  },

  async undo(context, input, before) {
    if (before.damaged)
      return { undone: false, note: "the hold could not be read, so it cannot be put back" };
    if (before.hold === null) return { undone: "kept", note: "it was under no hold before" };
    const target = context.environment.store(input.store);
    const now = context.clock.now();
    const there = await placeHold(openStore(target), before.hold, holdOptions(target, now));
    if (there.kind === "legal") return { undone: true };
    return { undone: false, note: `a prune has begun to remove the backup: ${describeHold(there)}` };
  },

  render: ({ id, was }) =>
    was === null ? `Backup ${id} is under no legal hold` : `Backup ${id} is released; it was under ${was}`,
});

/** The legal hold that is there; null without one. */
async function standingHold(opened: ObjectStore, id: string): Promise<Hold | null> {
  const there = await readHold(opened, id);
  return there?.kind === "legal" ? there : null;
}

export function legalHold(context: OperationContext, id: string, reason: string | null, at: Date): Hold {
  return {
    format: "ops-hold",
    version: 1,
    backup: id,
    kind: "legal",
    reason,
    by: context.actor,
    at: at.toISOString(),
    run: context.runId ?? null,
  };
}

async function placeLegalHold(
  context: OperationContext,
  target: StoreTarget,
  opened: ObjectStore,
  id: string,
  reason: string | null,
): Promise<Hold> {
  const now = context.clock.now();
  const wanted = legalHold(context, id, reason, now);
  const placed = await placeHold(opened, wanted, holdOptions(target, now));
  if (placed.kind === "removal") {
    throw new OpsError("E_HOLD", `Backup ${id} is being removed: ${describeHold(placed)}`, {
      hint: `a prune that was killed is finished or withdrawn by the next: ops backup prune --store ${target.name}`,
      details: { id },
    });
  }
  if (await hasManifest(opened, id)) return placed;
  // A prune was quicker than both looks: there is nothing left to hold.
  await opened.delete(holdObject(id));
  throw new OpsError("E_HOLD", `Backup ${id} was removed before the hold was placed`, {
    hint: "see what there is with: ops backup list",
    details: { id },
    retryable: false,
  });
}

async function hasManifest(opened: ObjectStore, id: string): Promise<boolean> {
  for await (const object of opened.list(manifestObject(id)))
    if (object.name === manifestObject(id)) return true;
  return false;
}

function asOutput(target: StoreTarget, id: string, placed: Hold | undefined): z.output<typeof output> {
  return {
    id,
    store: target.name,
    held: placed !== undefined,
    by: placed?.by ?? null,
    at: placed?.at ?? null,
    reason: placed?.reason ?? null,
  };
}
