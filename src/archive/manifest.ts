import { z } from "zod";
import { canonicalJson, digest } from "../core/digest.ts";
import type { Json } from "../core/errors.ts";

/** The object that makes a backup a backup. The format is written down in docs/formats/backup-manifest.md. */
const sha256 = z.string().regex(/^[0-9a-f]{64}$/);
const manifestSchema = z.strictObject({
  format: z.literal("ops-backup"),
  version: z.literal(1),
  id: z.string(),
  kind: z.literal("logical"),
  environment: z.string(),
  database: z.string(),
  source: z.strictObject({
    database: z.string(),
    serverVersion: z.string(),
    encoding: z.string(),
    localeProvider: z.enum(["libc", "icu", "builtin"]),
    collate: z.string(),
    ctype: z.string(),
    locale: z.string().nullable(),
  }),
  startedAt: z.iso.datetime(),
  finishedAt: z.iso.datetime(),
  run: z.string().nullable(),
  actor: z.string(),
  recipients: z.array(z.string()),
  dumpProgram: z.string(),
  dumpBytes: z.int().nonnegative(),
  objects: z.array(z.strictObject({ name: z.string(), bytes: z.int().nonnegative(), sha256 })).min(1),
});

export type Manifest = z.output<typeof manifestSchema>;
export type DatabaseSource = Manifest["source"];

/** The bytes of the manifest: indented JSON with the digest of everything else as its last key. */
export function encodeManifest(manifest: Manifest): Buffer {
  const sealed = { ...manifest, digest: digest(canonicalJson(manifest as unknown as Json)) };
  return Buffer.from(`${JSON.stringify(sealed, null, 2)}\n`);
}

/** Undefined where a single byte differs from what `encodeManifest` wrote, or where the format is not known. */
export function decodeManifest(bytes: Uint8Array): Manifest | undefined {
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch {
    return undefined;
  }
  const { digest: _digest, ...rest } = z.looseObject({ digest: z.string() }).safeParse(value).data ?? {};
  const parsed = manifestSchema.safeParse(rest);
  return parsed.success && encodeManifest(parsed.data).equals(bytes) ? parsed.data : undefined;
}
