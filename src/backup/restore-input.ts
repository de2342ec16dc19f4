import { z } from "zod";
import type { Ownership } from "../archive/database-properties.ts";
import type { Wanted } from "../archive/selected-entries.ts";
import { UsageError } from "../core/errors.ts";
import { duration, name, size } from "../core/schema.ts";

const list = (what: string) => z.array(z.string().min(1, "must not be empty")).default([]).describe(what);

export const restoreInput = z.strictObject({
  backup: z.string().default("latest").describe("The backup's id, or latest: the newest of the database"),
  into: z
    .string()
    .min(1)
    .refine((text) => Buffer.byteLength(text) <= 63 && !text.includes("\0"), "must be at most 63 bytes")
    .describe("Name of the database; it must not exist, or --swap says what becomes of it"),
  store: name("The store it is in").optional(),
  database: name(
    "A database on the server to restore to; also the one that latest is looked up for",
  ).optional(),
  swap: z
    .boolean()
    .default(false)
    .describe("Restore beside the database that is there, then rename both at once; the old one is kept"),
  "drop-old": z.boolean().default(false).describe("With --swap: drop the old one; then there is no way back"),
  "swap-timeout": duration("How long to try to end the sessions of the old database").prefault("30s"),
  schemas: list('Only these schemas (patterns: app, "Odd Name", log_*)'),
  tables: list('Only these tables, with what they need (patterns: orders, app.*, app."Odd Name")'),
  owners: z
    .enum(["keep", "skip"])
    .default("keep")
    .describe("keep: the backup's owners and grants; skip: everything is the user's"),
  "map-role": z
    .record(z.string().min(1), z.string().min(1))
    .default({})
    .describe("Roles that are called otherwise on this server: old=new"),
  "create-roles": z
    .boolean()
    .default(false)
    .describe("Make the roles that are missing, without login, password and rights of their own"),
  "older-server": z
    .enum(["refuse", "allow"])
    .default("refuse")
    .describe("What to do where the server is older than the one that was dumped"),
  check: z
    .enum(["rows", "none"])
    .optional()
    .describe("rows: count and sum up every table's rows before it gets its name (default with --swap)"),
  checks: list("SQL that must return true in the restored database before it gets its name"),
  jobs: z.int().min(1).max(64).default(1).describe("How many pg_restore processes at once"),
  "work-memory": size("Memory for each index that is built").prefault("512MiB"),
});

export type RestoreInput = z.output<typeof restoreInput>;

/** Throws `E_INPUT` where two of them contradict each other. */
export function refuseContradictions(input: RestoreInput): void {
  const { swap } = input;
  if (input["drop-old"] && !swap) {
    throw new UsageError("E_INPUT", "--drop-old only makes sense with --swap", {
      hint: "leave it out, or add --swap",
    });
  }
  if (swap && wantedOf(input) !== undefined) {
    throw new UsageError("E_INPUT", "--swap would replace the whole database with some of its tables", {
      hint: "restore the tables into a new database, and copy them from there",
    });
  }
  if (input.owners === "skip" && (Object.keys(input["map-role"]).length > 0 || input["create-roles"])) {
    throw new UsageError("E_INPUT", "--owners skip leaves no role to map or to make", {
      hint: "leave out --owners skip, or --map-role and --create-roles",
    });
  }
}

/** Undefined for everything. */
export function wantedOf({ schemas, tables }: RestoreInput): Wanted | undefined {
  return schemas.length + tables.length === 0 ? undefined : { schemas, tables };
}

export function ownershipOf(input: RestoreInput): Ownership {
  if (input.owners === "skip") return { keep: false };
  return { keep: true, mapping: new Map(Object.entries(input["map-role"])) };
}

/** What a swap puts in place must be proven; a new database harms nobody. */
export function checkOf(input: RestoreInput): "rows" | "none" {
  return input.check ?? (input.swap ? "rows" : "none");
}
