import type { StoreKeys } from "../config/encryption-schema.ts";
import { signerOf } from "./signature.ts";

/**
 * The public keys of which one must have signed what is read from the store: its `trusted-signers`, or else the one
 * that it signs with itself. Empty where neither is configured: signatures are not asked for. Throws `E_SECRET` and
 * `E_SIGNING_KEY`.
 */
export async function trustedSignersOf(keys: StoreKeys): Promise<readonly string[]> {
  if (keys.trustedSigners.length > 0 || keys.signingKey === undefined) return keys.trustedSigners;
  return [signerOf(await keys.signingKey.reveal()).publicKey];
}
