import { z } from "zod";
import { counted } from "../core/counted.ts";
import { OpsError } from "../core/errors.ts";
import { name } from "../core/schema.ts";
import { formatBytes } from "../core/size.ts";
import { openerFor, sealerFor } from "../crypto/encryption.ts";
import { openedBy } from "../crypto/sealer.ts";
import { backupsAtWork } from "../run/backups-at-work.ts";
import { ByteProgress } from "../run/byte-progress.ts";
import { defineOperation } from "../run/operation.ts";
import { openStore } from "../storage/open-store.ts";
import { readKeys, shortKey } from "./keys-store.ts";
import { rotateBackup, signingOf } from "./rotate-backup.ts";

const left = z.array(z.object({ id: z.string(), why: z.string() }));

/** Where the work has got to: the backup that is being worked on, and what is written of it under new names. */
const checkpointSchema = z.object({
  backup: z.string(),
  written: z.array(z.object({ name: z.string(), bytes: z.number(), sha256: z.string() })),
});

/**
 * Guarantee: at any moment, also after a kill, every backup is whole under the manifest that is there; its former
 * objects go only after the manifest with the new ones is durable. Who could open a backup before and has a copy of it,
 * or of its header, can open that copy still: to shut somebody out for good, the data must change.
 */
export const rotateKeys = defineOperation({
  name: "backup.keys.rotate",
  summary: "Encrypt the kept backups of a store to the keys that are configured now",
  example: "backup keys rotate --store local",
  effect: "change",
  input: z.strictObject({
    store: name("The store").optional(),
    "open-with": name("A store of .opsrc whose keys open the backups; default: the same store").optional(),
    all: z
      .boolean()
      .default(false)
      .describe(
        "Also those that name these keys already: after a change of passphrase, which looks the same",
      ),
  }),
  output: z.object({
    store: z.string(),
    keys: z.array(z.string()).describe("Which keys open the rotated backups now"),
    rotated: z.array(z.string()).describe("Ids, newest first"),
    current: z.number().describe("Backups that these keys opened already"),
    left: left.describe("Backups that still have the former keys, and why"),
    locked: z
      .array(z.string())
      .describe("Former objects that the store's Object Lock holds; the former keys open them"),
    bytes: z.number().describe("Of the rotated backups, as they were stored"),
  }),
  targets: (input, environment) => [`prune:${environment.store(input.store).name}`],

  async observe(context, input) {
    const target = context.environment.store(input.store);
    const now = (await sealerFor(target)).describe();
    await openerFor(context.environment.store(input["open-with"] ?? input.store));
    await signingOf(target);
    const all = await readKeys(target, now);
    const pending = all.filter((each) => each.status === "complete" && (input.all || !each.current));
    return {
      store: target.name,
      keys: openedBy(now),
      pending: pending.flatMap((each) =>
        each.status === "complete" ? [{ id: each.id, bytes: each.bytes, keys: [...each.keys] }] : [],
      ),
      current: all.filter((each) => each.status === "complete").length - pending.length,
      broken: all.flatMap((each) => (each.status === "broken" ? [{ id: each.id, why: each.reason }] : [])),
    };
  },

  plan: ({ store, keys, pending }) =>
    pending.map((each) => ({
      target: `store:${store}`,
      action: "update" as const,
      summary: `encrypt ${each.id} (${formatBytes(each.bytes)}) to ${keys.map(shortKey).join(", ")}`,
      from: each.keys,
      to: keys,
    })),

  notes: ({ broken }) => broken.map(({ id, why }) => `= leave ${id}, which is broken: ${why}`),

  async apply(context, input, before, report) {
    const target = context.environment.store(input.store);
    const store = openStore(target);
    const work = {
      opener: await openerFor(context.environment.store(input["open-with"] ?? input.store)),
      sealer: await sealerFor(target),
      signing: await signingOf(target),
    };
    const last = checkpointSchema.safeParse(report.last).data;
    const total = before.pending.reduce((sum, each) => sum + each.bytes, 0);
    const progress = new ByteProgress(report, "encrypting to the new keys", total);
    const rotated: string[] = [];
    const locked: string[] = [];
    const others = [...before.broken];
    for (const { id } of before.pending) {
      context.safePoint();
      const run = (await backupsAtWork(context)).get(id);
      if (run !== undefined && run !== context.runId) {
        others.push({ id, why: `run ${run} works with it` });
        continue;
      }
      const result = await rotateBackup(context, target, store, id, {
        ...work,
        again: input.all,
        written: last?.backup === id ? last.written : [],
        keep: (written) => report.checkpoint({ backup: id, written: written.map((each) => ({ ...each })) }),
        onBytes: (bytes) => progress.add(bytes),
      });
      if (result.status === "left") others.push({ id, why: result.why });
      else {
        rotated.push(id);
        locked.push(...result.locked);
      }
    }
    return {
      store: target.name,
      keys: before.keys,
      rotated,
      current: before.current,
      left: others,
      locked,
      bytes: before.pending
        .filter((each) => rotated.includes(each.id))
        .reduce((sum, each) => sum + each.bytes, 0),
    };
  },

  failure: ({ store, left: others }) =>
    others.length === 0
      ? undefined
      : new OpsError(
          "E_ROTATION",
          `${counted(others.length, "backup")} of ${store} still has the former keys`,
          {
            hint: "mend what is said of each, then run it again: ops backup keys rotate",
            retryable: false,
          },
        ),

  render: ({ store, keys, rotated, current, left: others, locked, bytes }) =>
    [
      `Store ${store}: ${counted(rotated.length, "backup")} (${formatBytes(bytes)}) opened by ${keys.map(shortKey).join(", ")} now; ` +
        `${counted(current, "backup")} had these keys already`,
      ...rotated.map((id) => `  - ${id}`),
      ...others.map(({ id, why }) => `  ! ${id}: ${why}`),
      ...locked.map((each) => `  ! ${each} is locked by the store and stays: the former keys open it`),
    ].join("\n"),
});
