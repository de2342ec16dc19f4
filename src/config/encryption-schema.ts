import { z } from "zod";
import { Secret } from "./secret.ts";
import { referencedSecret, secret } from "./secret-field.ts";

/** By its form alone; whether it is a point of the curve is seen when it is used. */
const publicKey =
  /^(age1[a-z0-9]{58,}|ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI[A-Za-z0-9+/]{43}( .*)?|ssh-rsa AAAAB3NzaC1yc2EAAAA[A-Za-z0-9+/]{330,}=*( .*)?)$/;

const kmsSchema = z.strictObject({
  key: z.string().regex(/^\S+$/, "must be an id, ARN or alias").describe("Id, ARN or alias of the key"),
  region: z
    .string()
    .min(1, "must not be empty")
    .optional()
    .describe("Default: the ARN's, or as the AWS tools do"),
  endpoint: z
    .string()
    .regex(/^https?:\/\/[^\s/?#@]+\/?$/, "must be https://host or https://host:port, without a path")
    .optional()
    .describe("Another endpoint than AWS's own: https://kms.internal"),
  profile: z.string().min(1, "must not be empty").optional().describe("Profile of ~/.aws/config"),
});

/** The keys of a store that say who can open its backups, and who vouches for them (docs/keys.md). */
export const encryptionFields = {
  recipients: z
    .array(
      z
        .string()
        .refine((each) => !/^AGE-SECRET-KEY-|PRIVATE KEY/.test(each), {
          error: "this is a private key; a recipient is the public one",
          params: {
            hint: "age-keygen -y prints it; then make a new pair, since this one was written down",
          },
          abort: true,
        })
        .regex(
          publicKey,
          'must be a public key of age ("age1…") or SSH ("ssh-ed25519 AAAA…"): make one with age-keygen',
        ),
    )
    .default([])
    .describe("Public keys that backups are encrypted to (age, or SSH); each can open them"),
  identity: secret("age or SSH private key; needed only to verify and restore").optional(),
  passphrase: referencedSecret("Instead of recipients; the age format has no place for both").optional(),
  encryption: z
    .enum(["age", "aes-256-gcm"])
    .default("age")
    .describe("age, which stock age opens; or AES-256-GCM, for policies that name it"),
  "encryption-key": referencedSecret("For aes-256-gcm: 32 bytes in hexadecimal or base64").optional(),
  kms: kmsSchema.optional().describe("For aes-256-gcm: a key of AWS KMS"),
  "signing-key": referencedSecret("Ed25519 private key that signs manifests").optional(),
  "trusted-signers": z
    .array(
      z.string().regex(/^ed25519:[A-Za-z0-9+/]{43}=$/, 'must be the public key of a signer ("ed25519:…")'),
    )
    .default([])
    .describe(
      "Only backups signed by one of these are verified and restored; default: by the own signing-key; without one also unsigned ones",
    ),
};

const fields = z.object(encryptionFields);
type Fields = z.output<typeof fields>;

export type KmsSettings = z.output<typeof kmsSchema>;

/** What encrypts, opens, signs and vouches for the backups of one store. */
export interface StoreKeys {
  /** The store's. */
  readonly name: string;
  readonly recipients: readonly string[];
  readonly identity: Secret | undefined;
  readonly passphrase: Secret | undefined;
  readonly encryptionMethod: "age" | "aes-256-gcm";
  readonly encryptionKey: Secret | undefined;
  readonly kms: KmsSettings | undefined;
  readonly signingKey: Secret | undefined;
  /** `ed25519:…`; empty: signatures are not asked for. */
  readonly trustedSigners: readonly string[];
}

/** @param directory what relative `file:` paths begin at */
export function storeKeys(name: string, settings: Fields, directory: string): StoreKeys {
  const secretOf = (text: string | undefined) =>
    text === undefined ? undefined : new Secret(text, directory);
  return {
    name,
    recipients: settings.recipients,
    identity: secretOf(settings.identity),
    passphrase: secretOf(settings.passphrase),
    encryptionMethod: settings.encryption,
    encryptionKey: secretOf(settings["encryption-key"]),
    kms: settings.kms,
    signingKey: secretOf(settings["signing-key"]),
    trustedSigners: settings["trusted-signers"],
  };
}

/** What a store's keys contradict each other in: the key of the configuration, what is wrong, the way out. */
export function encryptionMistakes(
  settings: Fields,
): { readonly path: string[]; readonly message: string; readonly hint: string }[] {
  const { recipients, passphrase, encryption, kms } = settings;
  const mistakes = [];
  if (passphrase !== undefined && recipients.length > 0) {
    mistakes.push({
      path: ["passphrase"],
      message: "excludes recipients: the age format allows a passphrase only alone",
      hint: "keep the recipients or the passphrase",
    });
  }
  if (encryption === "aes-256-gcm" && settings["encryption-key"] === undefined && kms === undefined) {
    mistakes.push({
      path: ["encryption"],
      message: "needs a key that wraps the data keys",
      hint: 'add "encryption-key: file:PATH" (made by: openssl rand -base64 32), or "kms:"',
    });
  }
  return mistakes;
}
