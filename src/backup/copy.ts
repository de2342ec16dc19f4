import { z } from "zod";
import { findBackup, storedBytes } from "../archive/catalog.ts";
import { copyObjects } from "../archive/copy.ts";
import { trustedSigner } from "../archive/manifest.ts";
import { formatDuration } from "../core/duration.ts";
import { UsageError } from "../core/errors.ts";
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
 * copy that is listed is whole. Nothing is decrypted: no private key is needed.
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
    return {
      id: manifest.id,
      from: from.name,
      to: to.name,
      bytes: storedBytes(manifest),
      there: (await findManifest(openStore(to), manifest.id)) !== undefined,
    };
  },

  plan: (before) =>
    before.there
      ? []
      : [
          {
            target: `store:${before.to}`,
            action: "create",
            summary: `copy backup ${before.id} from store ${before.from} to ${before.to} (${formatBytes(before.bytes)})`,
          },
        ],

  async apply(context, input, before, report) {
    const begin = context.clock.elapsed();
    const target = context.environment.store(input.from);
    const from = openStore(target);
    const to = openStore(context.environment.store(input.to));
    const { id } = before;
    const copied = (await findManifest(to, id)) === undefined;
    const sealed = await findBackup(from, await trustedSignersOf(target), id, () => {
      throw new Error("an id is no latest");
    });
    if (copied) {
      const progress = new ByteProgress(report, `copying ${id} to ${before.to}`, before.bytes);
      await interruptible(context, (signal) =>
        copyObjects(from, to, sealed, signal, (bytes) => progress.add(bytes)),
      );
    }
    return {
      id,
      from: before.from,
      to: before.to,
      objects: sealed.manifest.objects.length,
      bytes: storedBytes(sealed.manifest),
      copied,
      durationMs: Math.round(context.clock.elapsed() - begin),
    };
  },

  async undo(context, input, before) {
    const to = openStore(context.environment.store(input.to));
    if ((await findManifest(to, before.id)) !== undefined) {
      return { undone: "kept", note: `the copy of ${before.id} stays: it harms nothing and may be needed` };
    }
    const locked = await removeBackup(to, before.id);
    return { undone: true, note: `what was copied of ${before.id} is removed${lockedNote(locked)}` };
  },

  render: (done) =>
    done.copied
      ? `Backup ${done.id} is copied from ${done.from} to ${done.to}: ${done.objects} objects, ` +
        `${formatBytes(done.bytes)}, in ${formatDuration(done.durationMs)}`
      : `The store ${done.to} has backup ${done.id} already`,
});
