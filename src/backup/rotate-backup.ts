import { describeHold, type Hold, holdObject, holdOptions, placeHold } from "../archive/hold.ts";
import { type Manifest, type ManifestSignature, signManifest, trustedSigner } from "../archive/manifest.ts";
import { type Rewrapping, removeFormer, rewrapBackup } from "../archive/rewrap.ts";
import type { StoreTarget } from "../config/environment.ts";
import { sameKeys } from "../crypto/sealer.ts";
import { type Signer, signerOf } from "../crypto/signature.ts";
import type { OperationContext } from "../run/context.ts";
import { interruptible } from "../run/interruptible.ts";
import { isLocked } from "../storage/locked.ts";
import type { ObjectStore } from "../storage/object-store.ts";
import { legalHold } from "./hold.ts";
import { findManifest } from "./stores.ts";

/** What a rotation needs to know of signatures: whom to believe, and who signs what was changed. */
export interface Signing {
  readonly trusted: readonly string[];
  readonly signer: Signer | undefined;
}

/** Throws `E_SIGNING_KEY` and `E_SECRET`. */
export async function signingOf(target: StoreTarget): Promise<Signing> {
  const key = await target.signingKey?.reveal();
  const signer = key === undefined ? undefined : signerOf(key);
  return { signer, trusted: [...target.trustedSigners, ...(signer === undefined ? [] : [signer.publicKey])] };
}

export interface Rotation extends Omit<Rewrapping, "sign" | "signal"> {
  readonly signing: Signing;
  /** Also where the backup names these keys already. */
  readonly again: boolean;
}

export type RotationResult =
  | { readonly status: "rotated"; readonly locked: readonly string[] }
  | { readonly status: "left"; readonly why: string };

const reason = "its keys are being changed";

/**
 * Brings one backup to other keys, or says why it is left as it is. A hold keeps every prune, and every other rotation,
 * away from it for that time, on whatever machine; a killed run's hold stays until the run is resumed or it is released.
 */
export async function rotateBackup(
  context: OperationContext,
  target: StoreTarget,
  store: ObjectStore,
  id: string,
  rotation: Rotation,
): Promise<RotationResult> {
  const now = context.clock.now();
  const hold = legalHold(context, id, reason, now);
  const placed = await placeHold(store, hold, holdOptions(target, now));
  const isOwn = placed.kind === "legal" && placed.reason === reason && placed.run === hold.run;
  if (!isOwn) return { status: "left", why: whyHeld(placed) };
  try {
    return await interruptible(context, (signal) => rotateHeld(store, id, { ...rotation, signal }));
  } finally {
    await withdrawHold(context, store, id);
  }
}

async function rotateHeld(
  store: ObjectStore,
  id: string,
  rotation: Rotation & { readonly signal: AbortSignal },
): Promise<RotationResult> {
  const sealed = await findManifest(store, id);
  if (sealed === undefined) return { status: "left", why: "it was removed meanwhile" };
  const { manifest, signature } = sealed;
  const { signing, sealer, written } = rotation;
  // An attempt before this one may have got as far as its manifest.
  const isDone =
    written.length > 0 && manifest.objects.every((each) => written.some((one) => one.name === each.name));
  if (!isDone && (rotation.again || !sameKeys(manifest.encryption, sealer.describe()))) {
    if (signature !== undefined) {
      if (trustedSigner(sealed, signing.trusted) === undefined) {
        return { status: "left", why: "it is signed by nobody who is trusted here: see trusted-signers" };
      }
      if (signing.signer === undefined) {
        return { status: "left", why: "it is signed, and there is no signing-key here to sign it again" };
      }
    }
    const sign = (renewed: Manifest): ManifestSignature | undefined =>
      // What nobody vouched for before is not vouched for by being encrypted to others.
      signature === undefined || signing.signer === undefined
        ? undefined
        : signManifest(renewed, signing.signer);
    const renewed = await rewrapBackup(store, manifest, { ...rotation, sign });
    return { status: "rotated", locked: (await removeFormer(store, renewed)).locked };
  }
  return { status: "rotated", locked: (await removeFormer(store, manifest)).locked };
}

function whyHeld(placed: Hold): string {
  if (placed.kind === "legal" && placed.reason === reason && placed.run !== null) {
    return `run ${placed.run} changes its keys; if that run was killed: ops runs resume ${placed.run}`;
  }
  return describeHold(placed);
}

/** A store with Object Lock locks the hold itself for a minute: it is waited for. */
async function withdrawHold(context: OperationContext, store: ObjectStore, id: string): Promise<void> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      await store.delete(holdObject(id));
      return;
    } catch (error) {
      if (!isLocked(error) || attempt === 15) throw error;
      await context.clock.sleep(5_000, context.signal);
    }
  }
}
