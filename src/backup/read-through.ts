import { corrupt } from "../archive/catalog.ts";
import { readContents } from "../archive/contents.ts";
import { type ArchivedTable, ArchiveReader } from "../archive/custom-format.ts";
import type { ManifestObject } from "../archive/manifest.ts";
import { type ReadableBackup, readPlain } from "../archive/read-object.ts";
import { OpsError } from "../core/errors.ts";
import { findProgram, RunningProgram } from "../postgres/programs.ts";

/**
 * Opens every object to its end: each encrypted chunk is authentic, everything decompresses, pg_restore reads each
 * archive's table of contents, and the rows of the tables are those of the manifest. Returns the number of entries.
 * Throws `E_BACKUP_CORRUPT`.
 */
export async function readThrough(
  backup: ReadableBackup,
  onBytes: (bytes: number) => void,
  signal: AbortSignal,
): Promise<number> {
  let entries = 0;
  const tables: ArchivedTable[] = [];
  for (const object of backup.manifest.objects) {
    if (object.content === "globals" || object.content === "contents") {
      for await (const chunk of readPlain(backup, object)) {
        signal.throwIfAborted();
        onBytes(chunk.length);
      }
      continue;
    }
    const archive = new ArchiveReader();
    entries += await listedEntries(backup, object, archive, onBytes, signal);
    tables.push(...archive.finish());
  }
  const [difference] = differences((await readContents(backup)).tables, tables);
  if (difference !== undefined) {
    throw corrupt(backup.manifest.id, "manifest.json", `does not describe what was dumped: ${difference}`);
  }
  return entries;
}

async function listedEntries(
  backup: ReadableBackup,
  object: ManifestObject,
  archive: ArchiveReader,
  onBytes: (bytes: number) => void,
  signal: AbortSignal,
): Promise<number> {
  const program = await findProgram("pg_restore", Number.parseInt(backup.manifest.dumpProgram, 10));
  const list = new RunningProgram(program, ["--list"], {}, signal);
  async function* read(): AsyncGenerator<Uint8Array> {
    for await (const chunk of readPlain(backup, object)) {
      onBytes(chunk.length);
      archive.write(chunk);
      yield chunk;
    }
  }
  try {
    const [lines] = await Promise.all([linesOf(list.output()), list.feed(read(), signal)]);
    return lines.filter((line) => line !== "" && !line.startsWith(";")).length;
  } catch (error) {
    if (error instanceof OpsError && error.code === "E_PROGRAM_FAILED") {
      throw corrupt(backup.manifest.id, object.name, "is not an archive that pg_restore reads", error);
    }
    throw error;
  } finally {
    await list.stop();
  }
}

/** How the tables differ from what the manifest says, a line for each: rows, or the rows' checksum. */
export function differences(expected: readonly ArchivedTable[], found: readonly ArchivedTable[]): string[] {
  const key = (each: ArchivedTable) => JSON.stringify([each.schema, each.name]);
  const byKey = new Map(found.map((each) => [key(each), each]));
  const expectedKeys = new Set(expected.map(key));
  const shown = (each: ArchivedTable) => `${each.schema}.${each.name}`;
  return [
    ...expected.flatMap((each) => {
      const other = byKey.get(key(each));
      if (other === undefined) return [`table ${shown(each)} is missing`];
      if (other.rows !== each.rows)
        return [`table ${shown(each)} has ${other.rows} rows instead of ${each.rows}`];
      return other.checksum === each.checksum ? [] : [`the rows of table ${shown(each)} are not the same`];
    }),
    ...found
      .filter((each) => each.rows > 0 && !expectedKeys.has(key(each)))
      .map((each) => `table ${shown(each)} has ${each.rows} rows that were not dumped`),
  ];
}

async function linesOf(output: AsyncIterable<Buffer>): Promise<string[]> {
  const parts: Buffer[] = [];
  for await (const part of output) parts.push(part);
  return Buffer.concat(parts).toString("utf8").split("\n");
}
