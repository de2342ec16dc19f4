import { isDeepStrictEqual } from "node:util";
import { z } from "zod";
import { manifestObject } from "../archive/backup-id.ts";
import { findBackup, lookUp, storedBytes } from "../archive/catalog.ts";
import { copyObjects } from "../archive/copy.ts";
import { type SealedManifest, trustedSigner } from "../archive/manifest.ts";
import type { StoreTarget } from "../config/environment.ts";
import { formatDuration } from "../core/duration.ts";
import { OpsError, UsageError } from "../core/errors.ts";
import { name } from "../core/schema.ts";
import { formatBytes } from "../core/size.ts";
import { trustedSignersOf } from "../crypto/trusted-signers.ts";
import { ByteProgress } from "../run/byte-progress.ts";
import { interruptible } from "../run/interruptible.ts";
import { defineOperation } from "../run/operation.ts";
import { openStore } from "../storage/open-store.ts";
import { findManifest, lockedNote, removeBackup } from "./stores.ts";

/**
 * Guarantee: the copy's manifest is written last, after every byte was compared with the original's manifest, so a
 * copy that is made anew is whole when it is listed. A copy that has lost something since is made whole again, and one
 * that cannot be is never taken for the backup. Nothing is decrypted: no private key is needed.
 */
export const copy = defineOperation({
  name: "backup.copy",
  summary: "Copy a backup from one store to another, as it is encrypted",
  example: "backup copy latest --from local --to offsite --database main",
  effect: "change",
  input: z.strictObject({
    backup: z.string().default("latest").describe("The backup's id, or latest: the newest of the database"),
    from: name("The store that has it"),
    to: name("The store that gets it"),
    database: name("The database that latest is looked up for").optional(),
  }),
  positional: ["backup"],
  output: z.object({
    id: z.string(),
    from: z.string(),
    to: z.string(),
    objects: z.number(),
    bytes: z.number(),
    copied: z.boolean().describe("False where the other store had it already"),
    repaired: z.string().nullable().describe("What was wrong with the copy that was there"),
    durationMs: z.number().describe("Of the attempt that finished it"),
  }),
  targets: (input) => [`backup:${input.to}/${input.backup}`],

  async observe(context, input) {
    const from = context.environment.store(input.from);
    const to = context.environment.store(input.to);
    if (from.name === to.name) {
      throw new UsageError(
        "E_INPUT",
        `The store "${from.name}" is both the one to copy from and the one to copy to`,
      );
    }
    const sealed = await findBackup(openStore(from), await trustedSignersOf(from), input.backup, () => ({
      environment: context.environment.name,
      database: context.environment.database(input.database).name,
    }));
    const trusted = await trustedSignersOf(to);
    if (trusted.length > 0 && trustedSigner(sealed, trusted) === undefined) {
      throw new UsageError(
        "E_SIGNATURE",
        `The store ${to.name} trusts none of the signers of backup ${sealed.manifest.id}: it would count as broken there`,
        { hint: `add the signer to "trusted-signers:" of the store ${to.name} in .opsrc` },
      );
    }
    const { manifest } = sealed;
    const copy = await copyIn(to, sealed);
    return {
      id: manifest.id,
      from: from.name,
      to: to.name,
      bytes: storedBytes(manifest),
      there: copy.status === "whole",
      damage: copy.status === "damaged" ? copy.damage : null,
    };
  },

  plan: ({ id, from, to, bytes, there, damage }) =>
    there
      ? []
      : [
          {
            target: `store:${to}`,
            action: damage === null ? "create" : "update",
            summary:
              damage === null
                ? `copy backup ${id} from store ${from} to ${to} (${formatBytes(bytes)})`
                : `make the copy of backup ${id} in store ${to} whole again from ${from}: ${damage}`,
          },
        ],

  async apply(context, input, before, report) {
    const begin = context.clock.elapsed();
    const target = context.environment.store(input.from);
    const from = openStore(target);
    const to = context.environment.store(input.to);
    const { id } = before;
    const sealed = await findBackup(from, await trustedSignersOf(target), id, () => {
      throw new Error("an id is no latest");
    });
    const copy = await copyIn(to, sealed);
    if (copy.status !== "whole") {
      const manifestThere = copy.status === "damaged" ? copy.manifestThere : "stays";
      const progress = new ByteProgress(report, `copying ${id} to ${before.to}`, before.bytes);
      const onBytes = (bytes: number) => progress.add(bytes);
      await interruptible(context, (signal) =>
        copyObjects(from, openStore(to), sealed, signal, onBytes, manifestThere),
      );
    }
    return {
      id,
      from: before.from,
      to: before.to,
      objects: sealed.manifest.objects.length,
      bytes: storedBytes(sealed.manifest),
      copied: copy.status !== "whole",
      repaired: copy.status === "damaged" ? copy.damage : null,
      durationMs: Math.round(context.clock.elapsed() - begin),
    };
  },

  async undo(context, input, before) {
    const to = openStore(context.environment.store(input.to));
    if ((await lookUp(to, [], before.id)) !== undefined) {
      return { undone: "kept", note: `the copy of ${before.id} stays: it harms nothing and may be needed` };
    }
    const locked = await removeBackup(to, before.id);
    return { undone: true, note: `what was copied of ${before.id} is removed${lockedNote(locked)}` };
  },

  render: ({ id, from, to, objects, bytes, copied, repaired, durationMs }) => {
    if (!copied) return `The store ${to} has backup ${id} already`;
    const size = `${objects} objects, ${formatBytes(bytes)}, in ${formatDuration(durationMs)}`;
    return repaired === null
      ? `Backup ${id} is copied from ${from} to ${to}: ${size}`
      : `The copy of backup ${id} in ${to} is whole again (${repaired}): ${size}`;
  },
});

type Copy =
  | { readonly status: "missing" | "whole" }
  | {
      readonly status: "damaged";
      readonly damage: string;
      /** What a repair does with the manifest that is there: one that says something else is nobody's. */
      readonly manifestThere: "stays" | "is replaced";
    };

/**
 * What the other store has of the backup, by names and sizes. Throws `E_BACKUP_CORRUPT` where it lacks something of a
 * backup of this id that is not the same one: the original cannot mend that.
 */
async function copyIn(to: StoreTarget, original: SealedManifest): Promise<Copy> {
  const store = openStore(to);
  const { id } = original.manifest;
  const entry = await lookUp(store, await trustedSignersOf(to), id);
  if (entry === undefined) return { status: "missing" };
  if (entry.status === "complete") return { status: "whole" };
  const damage = `${entry.object} ${entry.reason}`;
  if (entry.object === manifestObject(id)) return { status: "damaged", damage, manifestThere: "is replaced" };
  const there = await findManifest(store, id);
  if (there === undefined || isDeepStrictEqual(there.manifest, original.manifest)) {
    return { status: "damaged", damage, manifestThere: "stays" };
  }
  throw new OpsError(
    "E_BACKUP_CORRUPT",
    `The copy of backup ${id} in ${to.name} is damaged: ${damage}. Its manifest there is not that of the original, which cannot mend it`,
    {
      hint:
        "one of the two has other keys since a rotation: copy from a store that has the same, or remove what is left of " +
        `it there and copy it again (ops backup prune --store ${to.name} --broken removes it once a newer one is whole)`,
      details: { id, object: entry.object },
      retryable: false,
    },
  );
}
