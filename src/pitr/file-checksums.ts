import { z } from "zod";

const manifestSchema = z.object({
  Files: z.array(
    z.object({
      Path: z.string().optional(),
      /** Hexadecimal, of a name that is no UTF-8. */
      "Encoded-Path": z.string().optional(),
      "Checksum-Algorithm": z.string().optional(),
      Checksum: z.string().optional(),
    }),
  ),
});

/** The SHA-256 of files, by their names in the data folder: one character for each byte. */
export type FileChecksums = ReadonlyMap<string, string>;

/** Of a larger one (about a hundred thousand files) the checksums would take too much memory. Bytes. */
export const largestManifest = 16 * 2 ** 20;

/**
 * The checksums of a backup_manifest (the manual: Backup Manifest Format). Undefined where it cannot be read; who judges
 * it is pg_verifybackup.
 */
export function parseFileChecksums(manifest: Buffer): FileChecksums | undefined {
  let value: unknown;
  try {
    value = JSON.parse(manifest.toString());
  } catch {
    return undefined;
  }
  const files = manifestSchema.safeParse(value).data?.Files;
  if (files === undefined) return undefined;
  const checksums = new Map<string, string>();
  for (const each of files) {
    const { Path, Checksum, "Encoded-Path": encoded, "Checksum-Algorithm": algorithm } = each;
    if (algorithm !== "SHA256" || Checksum === undefined) return undefined;
    const name = encoded === undefined ? Buffer.from(Path ?? "") : Buffer.from(encoded, "hex");
    checksums.set(name.toString("latin1"), Checksum);
  }
  return checksums;
}
