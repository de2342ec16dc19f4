import { z } from "zod";
import { corrupt, findBackup, storedBytes } from "../archive/catalog.ts";
import { identityOf, readDump } from "../archive/dump.ts";
import { formatDuration } from "../core/duration.ts";
import { name } from "../core/schema.ts";
import { formatBytes } from "../core/size.ts";
import { findProgram, RunningProgram } from "../postgres/programs.ts";
import { reportBytes } from "../run/byte-progress.ts";
import { interruptible } from "../run/interruptible.ts";
import { defineOperation } from "../run/operation.ts";
import { openStore } from "../storage/open-store.ts";

/**
 * Reads the whole backup once: the checksum of what is stored, the authentication of every encrypted chunk, the
 * decompression, and pg_restore's reading of the table of contents. What it does not show is that the data can be
 * loaded; a restore does.
 */
export const verify = defineOperation({
  name: "backup.verify",
  summary: "Read a backup from end to end and compare it with its manifest",
  example: "backup verify latest --database main",
  effect: "read",
  input: z.strictObject({
    backup: z.string().default("latest").describe("The backup's id, or latest: the newest of the database"),
    store: name("The store it is in").optional(),
    database: name("The database that latest is looked up for").optional(),
  }),
  positional: ["backup"],
  output: z.object({
    id: z.string(),
    database: z.string(),
    verdict: z.literal("pass"),
    bytes: z.number().describe("Stored bytes that were read"),
    dumpBytes: z.number().describe("Bytes after decryption and decompression"),
    entries: z.number().describe("Entries of the archive's table of contents"),
    durationMs: z.number(),
  }),
  observe: async () => null,
  plan: () => [],

  async apply(context, input, _before, report) {
    const begin = context.clock.elapsed();
    const target = context.environment.store(input.store);
    const store = openStore(target);
    const manifest = await findBackup(store, input.backup, () => ({
      environment: context.environment.name,
      database: context.environment.database(input.database).name,
    }));
    const identity = await identityOf(target);
    const program = await findProgram("pg_restore", Number.parseInt(manifest.dumpProgram, 10));
    const entries = await interruptible(context, async (signal) => {
      const list = new RunningProgram(program, ["--list"], {}, signal);
      try {
        const dump = reportBytes(
          readDump(store, manifest, identity),
          report,
          `verifying ${manifest.id}`,
          manifest.dumpBytes,
        );
        const [lines] = await Promise.all([linesOf(list.output()), list.feed(dump, signal)]);
        return lines.filter((line) => line !== "" && !line.startsWith(";")).length;
      } catch (error) {
        if (error instanceof Error && "code" in error && error.code === "E_PROGRAM_FAILED") {
          throw corrupt(
            manifest.id,
            manifest.objects[0]?.name ?? "",
            "is not an archive that pg_restore reads",
            error,
          );
        }
        throw error;
      } finally {
        await list.stop();
      }
    });
    return {
      id: manifest.id,
      database: manifest.database,
      verdict: "pass" as const,
      bytes: storedBytes(manifest),
      dumpBytes: manifest.dumpBytes,
      entries,
      durationMs: Math.round(context.clock.elapsed() - begin),
    };
  },

  render: (seen) =>
    `Backup ${seen.id} is as it was written: ${formatBytes(seen.bytes)}, ${seen.entries} entries, ` +
    `read in ${formatDuration(seen.durationMs)}`,
});

async function linesOf(output: AsyncIterable<Buffer>): Promise<string[]> {
  const parts: Buffer[] = [];
  for await (const part of output) parts.push(part);
  return Buffer.concat(parts).toString("utf8").split("\n");
}
