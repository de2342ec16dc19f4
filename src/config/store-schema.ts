import { z } from "zod";
import { writtenDuration, writtenRate, writtenSize } from "../core/schema.ts";
import { parseSize } from "../core/size.ts";
import { encryptionFields, encryptionMistakes } from "./encryption-schema.ts";
import { expectSchema, retentionSchema } from "./retention-schema.ts";
import { referencedSecret, secret } from "./secret-field.ts";

const mebibyte = 2 ** 20;

/** Storage classes whose objects S3 gives back hours after they were asked for. */
const archives: readonly string[] = ["GLACIER", "DEEP_ARCHIVE"];

/** `s3://bucket/prefix`: the bucket's name, and the prefix without slashes at its ends. */
export const s3Url = /^s3:\/\/([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?:\/+(.*?)\/*)?$/;

export const s3Schema = z.strictObject({
  endpoint: z
    .string()
    .regex(/^https?:\/\/[^\s/?#@]+\/?$/, "must be https://host or https://host:port, without a path")
    .optional()
    .describe("The server, where it is not AWS: https://s3.example.com"),
  region: z.string().min(1, "must not be empty").optional().describe("The bucket's region: eu-central-1"),
  "path-style": z
    .boolean()
    .optional()
    .describe("The bucket in the path, not in the host name; default: true with an endpoint"),
  "ca-file": z
    .string()
    .min(1, "must not be empty")
    .optional()
    .describe("PEM file of the authorities that are trusted for the endpoint, beside the usual ones"),
  profile: z.string().min(1, "must not be empty").optional().describe("Profile of ~/.aws/config"),
  "access-key": secret("Access key id").optional(),
  "secret-key": referencedSecret("Secret access key").optional(),
  "session-token": referencedSecret("Session token of temporary keys").optional(),
  sse: z.enum(["AES256", "aws:kms"]).optional().describe("Encryption by the server, over our own"),
  "kms-key": z.string().min(1, "must not be empty").optional().describe("Key id or ARN for sse: aws:kms"),
  "storage-class": z
    .string()
    .regex(/^[A-Z][A-Z0-9_]*$/, "must be a storage class such as STANDARD_IA")
    .optional()
    .describe("Storage class of new objects: STANDARD_IA"),
  "object-lock": z
    .strictObject({
      mode: z.enum(["governance", "compliance"]).describe("Who may shorten it: some, or nobody"),
      for: writtenDuration("How long an object cannot be deleted: 30d"),
    })
    .optional()
    .describe("Retention of new objects; the bucket must have Object Lock"),
  "part-size": writtenSize("Size of the parts of an upload: 5MiB to 16MiB; default 5MiB")
    .refine(isPartSize, "must be between 5MiB and 16MiB")
    .optional(),
});

/** A backup store as it is written in `.opsrc`. */
export const storeSchema = z
  .strictObject({
    url: z
      .string()
      .regex(/^(file|s3):/, 'must begin with "file:" or "s3://"')
      .superRefine((url, context) => {
        const mistake = urlMistake(url);
        if (mistake !== undefined) context.addIssue({ code: "custom", ...mistake });
      })
      .describe(
        "Where backups live: file:/var/backups/ops, file:backups relative to this file, s3://bucket/prefix",
      ),
    ...encryptionFields,
    bandwidth: writtenRate("The most that is read from and written to the store: 50MiB/s").optional(),
    s3: s3Schema.optional().describe("How an s3:// store is reached"),
    retention: retentionSchema.optional().describe("What backup prune keeps; default: everything"),
    expect: expectSchema.prefault({}).describe("What backup status expects to find"),
  })
  .superRefine((store, context) => {
    for (const { hint, ...mistake } of encryptionMistakes(store)) {
      context.addIssue({ code: "custom", ...mistake, params: { hint } });
    }
    const { s3 } = store;
    if (s3 === undefined) return;
    const refuse = (path: string[], message: string, hint: string) =>
      context.addIssue({ code: "custom", path: ["s3", ...path], message, params: { hint } });
    if (!store.url.startsWith("s3:")) {
      refuse(
        [],
        "belongs to a store on S3, and this one's url is a folder",
        "write url: s3://bucket/prefix, or remove s3:",
      );
      return;
    }
    const keys = (["access-key", "secret-key", "session-token"] as const).filter(
      (key) => s3[key] !== undefined,
    );
    if (s3.profile !== undefined && keys.length > 0) {
      refuse(
        ["profile"],
        `excludes ${keys.join(", ")}: which of them is meant?`,
        "keep the profile or the keys",
      );
    } else if (keys.length > 0) {
      for (const key of ["access-key", "secret-key"] as const) {
        if (s3[key] === undefined) refuse([], `has ${keys.join(", ")} but no ${key}`, `add ${key}: env:NAME`);
      }
    }
    const storageClass = s3["storage-class"];
    if (storageClass !== undefined && archives.includes(storageClass)) {
      refuse(
        ["storage-class"],
        `${storageClass} is an archive: its objects cannot be read until S3 has restored them, and every list reads the manifests`,
        "use STANDARD_IA or GLACIER_IR, and let a life-cycle rule of the bucket archive the large objects (docs/stores.md)",
      );
    }
    if (s3["kms-key"] !== undefined && s3.sse !== "aws:kms") {
      refuse(["kms-key"], "is used only with sse: aws:kms", "add sse: aws:kms, or remove it");
    }
  });

export type StoreSettings = z.output<typeof storeSchema>;

function isPartSize(text: string): boolean {
  try {
    const size = parseSize(text);
    return size >= 5 * mebibyte && size <= 16 * mebibyte;
  } catch {
    // Not a size at all: said by the check before this one.
    return true;
  }
}

function urlMistake(url: string): { message: string; params?: { hint: string } } | undefined {
  if (!url.startsWith("s3:")) return undefined;
  if (/^s3:\/*$/.test(url))
    return { message: "names no bucket", params: { hint: "write s3://bucket/prefix" } };
  const [, bucket, prefix = ""] = s3Url.exec(url) ?? [];
  if (bucket === undefined) {
    const hint = "write s3://bucket/prefix: the bucket has 3 to 63 lower-case letters, digits, '.' and '-'";
    return { message: "has no valid bucket name", params: { hint } };
  }
  if (prefix !== "" && !/^[A-Za-z0-9][\w.-]*(\/[A-Za-z0-9][\w.-]*)*$/.test(prefix)) {
    const hint =
      "use letters, digits, '.', '_', '-', and '/' between the parts; query strings have no meaning here";
    return { message: "has a prefix that cannot be used", params: { hint } };
  }
  return undefined;
}
