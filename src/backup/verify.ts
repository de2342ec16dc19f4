import { z } from "zod";
import { findBackup, storedBytes } from "../archive/catalog.ts";
import { verifyStored } from "../archive/read-object.ts";
import { formatDuration } from "../core/duration.ts";
import { OpsError } from "../core/errors.ts";
import { name } from "../core/schema.ts";
import { formatBytes } from "../core/size.ts";
import { openerFor } from "../crypto/encryption.ts";
import { trustedSignersOf } from "../crypto/trusted-signers.ts";
import { ByteProgress } from "../run/byte-progress.ts";
import { interruptible } from "../run/interruptible.ts";
import { defineOperation } from "../run/operation.ts";
import { openStore } from "../storage/open-store.ts";
import { holdDrill } from "./drill.ts";
import { readThrough } from "./read-through.ts";

const drill = z.object({
  restoreMs: z.number().nullable().describe("How long the restore took"),
  serverVersion: z.string().nullable(),
  databaseBytes: z.number().nullable(),
  tables: z.number().describe("Tables whose rows were counted and summed up"),
  rows: z.number(),
  checks: z.array(z.object({ sql: z.string(), passed: z.boolean() })),
});

/**
 * Three depths of proof, each with its price. `objects`: what is stored is what was written; needs no key. `decrypt`:
 * besides, it opens, and pg_restore reads it. `drill`: it was restored, and every row is there.
 */
export const verify = defineOperation({
  name: "backup.verify",
  summary: "Prove a backup: its stored bytes, its content, or by a restore into a throw-away server",
  example: "backup verify latest --database main --level drill",
  effect: "read",
  input: z.strictObject({
    backup: z.string().default("latest").describe("The backup's id, or latest: the newest of the database"),
    store: name("The store it is in").optional(),
    database: name("The database that latest is looked up for").optional(),
    level: z
      .enum(["objects", "decrypt", "drill"])
      .default("decrypt")
      .describe("objects: stored checksums; decrypt: also its content; drill: a real restore"),
    jobs: z.int().min(1).max(64).default(1).describe("Of a drill: how many pg_restore processes at once"),
    checks: z
      .array(z.string().min(1, "must not be empty"))
      .default([])
      .describe("Of a drill: SQL that must return true in the restored database"),
  }),
  positional: ["backup"],
  output: z.object({
    id: z.string(),
    database: z.string(),
    store: z.string(),
    level: z.enum(["objects", "decrypt", "drill"]),
    verdict: z.enum(["pass", "fail"]),
    reason: z.string().nullable().describe("Why a drill failed"),
    objects: z.number(),
    bytes: z.number().describe("Stored bytes"),
    dumpBytes: z.number().describe("Bytes after decryption and decompression"),
    entries: z
      .number()
      .nullable()
      .describe("Entries of the archives' tables of contents; not of level objects"),
    drill: drill.nullable(),
    durationMs: z.number(),
  }),
  observe: async () => null,
  plan: () => [],

  async apply(context, input, _before, report) {
    const begin = context.clock.elapsed();
    const target = context.environment.store(input.store);
    const store = openStore(target);
    const trusted = await trustedSignersOf(target);
    const { manifest } = await findBackup(store, trusted, input.backup, () => ({
      environment: context.environment.name,
      database: context.environment.database(input.database).name,
    }));
    const { id } = manifest;
    let entries: number | null = null;
    let held: Awaited<ReturnType<typeof holdDrill>> | undefined;
    if (input.level === "objects") {
      const shown = new ByteProgress(report, `verifying ${id}`, storedBytes(manifest));
      await interruptible(context, async (signal) => {
        for (const object of manifest.objects) {
          signal.throwIfAborted();
          await verifyStored(store, manifest, object, (bytes) => shown.add(bytes));
        }
      });
    } else {
      const backup = { store, manifest, opener: await openerFor(target), signed: trusted.length > 0 };
      if (input.level === "decrypt") {
        const shown = new ByteProgress(report, `verifying ${id}`, manifest.dumpBytes);
        entries = await interruptible(context, (signal) =>
          readThrough(backup, (bytes) => shown.add(bytes), signal),
        );
      } else {
        held = await interruptible(context, (signal) => holdDrill(context, backup, input, report, signal));
      }
    }
    return {
      id,
      database: manifest.database,
      store: target.name,
      level: input.level,
      verdict: held?.verdict ?? ("pass" as const),
      reason: held?.reason ?? null,
      objects: manifest.objects.length,
      bytes: storedBytes(manifest),
      dumpBytes: manifest.dumpBytes,
      entries,
      drill:
        held === undefined
          ? null
          : {
              restoreMs: held.restoreMs,
              serverVersion: held.serverVersion,
              databaseBytes: held.databaseBytes,
              tables: held.tables,
              rows: held.rows,
              checks: held.checks,
            },
      durationMs: Math.round(context.clock.elapsed() - begin),
    };
  },

  failure({ id, verdict, reason }) {
    if (verdict === "pass") return undefined;
    return new OpsError("E_DRILL_FAILED", `Backup ${id} does not restore to what was dumped: ${reason}`, {
      hint: "do not rely on it: make a new one with: ops backup create, and look at its drill",
      retryable: false,
    });
  },

  render(seen) {
    if (seen.verdict === "fail") return `Drill of backup ${seen.id}: FAILED, ${seen.reason}`;
    const read = `${formatBytes(seen.bytes)} in ${formatDuration(seen.durationMs)}`;
    if (seen.level === "objects") return `Backup ${seen.id} is stored as it was written: ${read}`;
    if (seen.drill === null) {
      return `Backup ${seen.id} is as it was written: ${read}, ${seen.entries} entries`;
    }
    const { tables, rows, checks, restoreMs, serverVersion } = seen.drill;
    return (
      `Backup ${seen.id} restores: ${tables} tables with ${rows} rows are equal to what was dumped` +
      `${checks.length === 0 ? "" : `, ${checks.length} checks hold`}; ` +
      `restored in ${formatDuration(restoreMs ?? 0)} on PostgreSQL ${serverVersion}, ` +
      `${formatDuration(seen.durationMs)} in all`
    );
  },
});
