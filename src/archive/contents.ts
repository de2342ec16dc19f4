import { z } from "zod";
import { corrupt } from "./catalog.ts";
import { type ReadableBackup, readPlain } from "./read-object.ts";

/**
 * What a backup holds: names are nobody's business who only sees the store, so this is an encrypted object beside the
 * dump, as JSON.
 */
const contentsSchema = z.strictObject({
  selection: z.strictObject({
    schemas: z.array(z.string()),
    excludeSchemas: z.array(z.string()),
    tables: z.array(z.string()),
    excludeTables: z.array(z.string()),
    excludeTableData: z.array(z.string()),
  }),
  tables: z.array(
    z.strictObject({
      schema: z.string(),
      name: z.string(),
      rows: z.int().nonnegative(),
      checksum: z.string().regex(/^[0-9a-f]{16}$/),
      /** The object that has the rows. */
      object: z.string(),
    }),
  ),
});

export type Contents = z.output<typeof contentsSchema>;
export type Selection = Contents["selection"];

export async function* encodeContents(contents: Contents): AsyncGenerator<Buffer> {
  yield Buffer.from(`${JSON.stringify(contents, null, 1)}\n`);
}

/** Throws `E_BACKUP_CORRUPT` where it is not what was written. */
export async function readContents(backup: ReadableBackup): Promise<Contents> {
  const { manifest } = backup;
  const object = manifest.objects.find((each) => each.content === "contents");
  if (object === undefined) throw corrupt(manifest.id, "manifest.json", "names no object with the contents");
  const parts: Uint8Array[] = [];
  for await (const part of readPlain(backup, object)) parts.push(part);
  const parsed = contentsSchema.safeParse(JSON.parse(Buffer.concat(parts).toString("utf8")));
  if (!parsed.success) throw corrupt(manifest.id, object.name, "does not describe a backup");
  return parsed.data;
}
