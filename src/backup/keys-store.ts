import { readCatalog } from "../archive/catalog.ts";
import type { StoreTarget } from "../config/environment.ts";
import { type EncryptionRecord, openedBy, sameKeys } from "../crypto/sealer.ts";
import { trustedSignersOf } from "../crypto/trusted-signers.ts";
import { openStore } from "../storage/open-store.ts";

/** A backup of a store, and whether the keys that are configured now are those that open it. */
export type BackupKeys =
  | {
      readonly id: string;
      readonly status: "complete";
      readonly bytes: number;
      /** Who opens it. */
      readonly keys: readonly string[];
      /** Configured now, and cannot open it. */
      readonly missing: readonly string[];
      /** Not configured any more, and can open it. */
      readonly former: readonly string[];
      readonly current: boolean;
    }
  | { readonly id: string; readonly status: "broken"; readonly reason: string };

/** Newest first. */
export async function readKeys(target: StoreTarget, now: EncryptionRecord): Promise<BackupKeys[]> {
  const configured = openedBy(now);
  return (await readCatalog(openStore(target), await trustedSignersOf(target))).map((entry) => {
    if (entry.status === "broken")
      return { id: entry.id, status: entry.status, reason: `${entry.object} ${entry.reason}` };
    const { encryption, objects } = entry.manifest;
    const keys = openedBy(encryption);
    return {
      id: entry.id,
      status: entry.status,
      bytes: objects.reduce((sum, each) => sum + each.bytes, 0),
      keys,
      missing: configured.filter((each) => !keys.includes(each)),
      former: keys.filter((each) => !configured.includes(each)),
      current: sameKeys(encryption, now),
    };
  });
}

/** A key in a table: the post-quantum ones have two thousand characters. */
export function shortKey(key: string): string {
  return key.length <= 50 ? key : `${key.slice(0, 32)}…${key.slice(-12)}`;
}
