import { z } from "zod";
import { formatDuration } from "../core/duration.ts";
import { name } from "../core/schema.ts";
import { formatBytes } from "../core/size.ts";
import { trustedSignersOf } from "../crypto/trusted-signers.ts";
import { defineOperation } from "../run/operation.ts";
import { openStore } from "../storage/open-store.ts";
import { readBaseCatalog, wholeBases } from "../wal-archive/base-catalog.ts";
import { chainOf } from "../wal-archive/base-chain.ts";
import type { BaseManifest } from "../wal-archive/base-manifest.ts";
import { archiveStore } from "./archive-stores.ts";
import { missingSegments } from "./missing-wal.ts";

const base = z.object({
  id: z.string(),
  status: z.enum(["complete", "broken", "wal-missing"]),
  reason: z.string().nullable().describe("Why it cannot be restored"),
  restorableFrom: z.string().nullable().describe("The earliest moment to restore to with it"),
  ageMs: z.number().nullable(),
  timeline: z.number().nullable(),
  startLsn: z.string().nullable(),
  stopLsn: z.string().nullable(),
  tablespaces: z.number().nullable(),
  bytes: z.number().nullable().describe("Stored"),
  parent: z.string().nullable().describe("What it is incremental to; null: a full one"),
  chain: z.array(z.string()).describe("What a restore of it reads, the full one first, itself last"),
  chainBytes: z.number().nullable().describe("Stored, of the whole chain"),
  plainBytes: z.number().nullable(),
});

export const listBases = defineOperation({
  name: "pitr.base.list",
  summary: "List the base backups of a cluster, newest first",
  example: "pitr base list --database main",
  effect: "read",
  input: z.strictObject({
    database: name("A database of the cluster").optional(),
    store: name("The store; default: the first one of its pitr settings").optional(),
  }),
  output: z.object({ database: z.string(), store: z.string(), bases: z.array(base) }),
  observe: async () => null,
  plan: () => [],

  async apply(context, input) {
    const database = context.environment.database(input.database);
    const target = archiveStore(database, input.store);
    const store = openStore(target);
    const bases: z.output<typeof base>[] = [];
    const entries = await readBaseCatalog(store, database.name, await trustedSignersOf(target));
    const whole = wholeBases(entries);
    for (const entry of entries) {
      if (entry.status === "broken") {
        bases.push({ ...nothingKnown, id: entry.id, status: "broken", reason: entry.reason });
        continue;
      }
      const { manifest } = entry.sealed;
      const chain = chainOf(whole, entry.id) ?? [manifest];
      const [missing] = await missingSegments(store, database.name, manifest);
      bases.push({
        id: entry.id,
        status: missing === undefined ? "complete" : "wal-missing",
        reason: missing === undefined ? null : `WAL ${missing} is not in the archive`,
        restorableFrom: manifest.stoppedAt,
        ageMs: Math.max(0, context.clock.now().getTime() - Date.parse(manifest.stoppedAt)),
        timeline: manifest.timeline,
        startLsn: manifest.startLsn,
        stopLsn: manifest.stopLsn,
        tablespaces: manifest.objects.filter((each) => each.content === "tablespace").length,
        bytes: storedBytes(manifest),
        parent: manifest.parent ?? null,
        chain: chain.map((each) => each.id),
        chainBytes: chain.reduce((sum, each) => sum + storedBytes(each), 0),
        plainBytes: manifest.plainBytes,
      });
    }
    return { database: database.name, store: target.name, bases };
  },

  render({ database, store, bases }) {
    if (bases.length === 0) return `The store ${store} has no base backups of ${database}`;
    return bases
      .map((each) => {
        const age = each.ageMs === null ? "?" : formatDuration(each.ageMs);
        const size = each.bytes === null ? "?" : formatBytes(each.bytes);
        const line = `${each.id}  ${age} old  ${size}  timeline ${each.timeline ?? "?"}  from ${each.restorableFrom ?? "?"}`;
        const chain =
          each.parent === null
            ? ""
            : `\n  incremental to ${each.parent}: ${each.chain.length} in the chain, ${formatBytes(each.chainBytes ?? 0)} in all`;
        return `${line}${chain}${each.reason === null ? "" : `\n  ! ${each.reason}`}`;
      })
      .join("\n");
  },
});

function storedBytes(manifest: BaseManifest): number {
  return manifest.objects.reduce((sum, each) => sum + each.bytes, 0);
}

const nothingKnown = {
  restorableFrom: null,
  ageMs: null,
  timeline: null,
  startLsn: null,
  stopLsn: null,
  tablespaces: null,
  bytes: null,
  parent: null,
  chain: [],
  chainBytes: null,
  plainBytes: null,
};
