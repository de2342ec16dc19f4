import type { StoreKeys } from "../../../src/config/encryption-schema.ts";
import { Secret } from "../../../src/config/secret.ts";

/** A store's keys as the configuration would give them; texts are secrets in plain. */
export function storeWith(keys: {
  readonly recipients?: readonly string[];
  readonly identity?: string;
  readonly passphrase?: string;
  readonly encryptionMethod?: "age" | "aes-256-gcm";
  readonly encryptionKey?: string;
  readonly kms?: StoreKeys["kms"];
}): StoreKeys {
  const secret = (text: string | undefined) => (text === undefined ? undefined : new Secret(text, "/"));
  return {
    name: "local",
    recipients: keys.recipients ?? [],
    identity: secret(keys.identity),
    passphrase: secret(keys.passphrase),
    encryptionMethod: keys.encryptionMethod ?? "age",
    encryptionKey: secret(keys.encryptionKey),
    kms: keys.kms,
    signingKey: undefined,
    trustedSigners: [],
  };
}
