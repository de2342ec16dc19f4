import { randomBytes } from "node:crypto";
import { generateHybridIdentity, generateX25519Identity, identityToRecipient } from "age-encryption";
import { dataKeySize, parseKeyFile } from "./data-key.ts";
import { newSigningKey } from "./signature.ts";

export const keyTypes = ["age", "hybrid", "aes", "signing"] as const;
export type KeyType = (typeof keyTypes)[number];

export interface NewKey {
  /** The content of the key's file; secret. */
  readonly secret: string;
  /** What may be shown: the public key, or the id of a key that has no public half. */
  readonly shown: string;
}

/** A new key of a kind, as a file that the configuration can name. */
export async function newKey(type: KeyType, now: Date): Promise<NewKey> {
  const { name, shown, secret } = await generate(type);
  return { shown, secret: `# created: ${now.toISOString()}\n# ${name}: ${shown}\n${secret.trimEnd()}\n` };
}

async function generate(type: KeyType): Promise<NewKey & { readonly name: string }> {
  switch (type) {
    case "age":
      return pair(await generateX25519Identity());
    case "hybrid":
      return pair(await generateHybridIdentity());
    case "aes": {
      const secret = randomBytes(dataKeySize).toString("base64");
      return { name: "key id", secret, shown: parseKeyFile(secret)[0].id };
    }
    case "signing": {
      const { privateKey, publicKey } = newSigningKey();
      return { name: "public key", secret: privateKey, shown: publicKey };
    }
  }
}

async function pair(identity: string): Promise<NewKey & { readonly name: string }> {
  return { name: "public key", secret: identity, shown: await identityToRecipient(identity) };
}
