import { z } from "zod";
import { lockModes } from "./test/lock-mode.ts";

/** What `migrate.test` found. The format is written down in docs/formats/migration-test.md. */

const lockSchema = z.strictObject({
  relation: z.string().describe("Table, index, sequence or view; without its schema where that is public"),
  kind: z.enum(["table", "index", "sequence", "view", "materialized view"]),
  mode: z.enum(lockModes),
});

const rewriteSchema = z.strictObject({
  relation: z.string(),
  kind: lockSchema.shape.kind,
  bytes: z.number().describe("Size of the new file in the copy"),
});

const statementSchema = z.strictObject({
  line: z.int().describe("Where it begins in its file"),
  sql: z.string().describe("Its beginning, on one line"),
  durationMs: z.number(),
  walBytes: z.number().describe("Bytes of WAL, without what its commit adds"),
  locks: z.array(lockSchema).describe("That it took beyond what the file held already, strongest mode each"),
  rewrites: z.array(rewriteSchema).describe("Tables and indexes that have a new file after it"),
  locksSeen: z
    .enum(["all", "sampled"])
    .describe("sampled: outside a transaction, where locks are gone at the statement's end"),
});

const holdSchema = z.strictObject({
  relation: z.string(),
  mode: z.enum(lockModes),
  blocks: z.enum(["reads and writes", "writes", "row locks and writes"]),
  heldMs: z.number().describe("From the start of the statement that took it to the end of the transaction"),
  bytes: z.number().nullable().describe("Size of the table in the copy, with indexes and TOAST"),
  realBytes: z.number().nullable().describe("Size of the real table at the time, where it was known"),
});

const fileRunSchema = z.strictObject({
  file: z.string(),
  transaction: z.boolean().describe("false: statement by statement"),
  durationMs: z.number(),
  walBytes: z.number(),
  statements: z.array(statementSchema),
  holds: z.array(holdSchema).describe("Locks that make the application wait, on what was there before"),
});

const lossSchema = z.strictObject({
  kind: z.enum([
    "rows-lost",
    "rows-changed",
    "values-lost",
    "values-changed",
    "position-lost",
    "table-dropped",
    "column-dropped",
  ]),
  object: z.string().describe("A table, table.column, or a sequence"),
  held: z.number().describe("Rows, values that are not null, or what the sequence gave next, before"),
  left: z.number().describe("After the way down"),
});

const migrationSchema = z.strictObject({
  version: z.string(),
  name: z.string(),
  verdict: z.enum(["pass", "fail", "not-tested"]),
  oneWay: z.boolean().describe("It has no down file"),
  problem: z
    .strictObject({
      step: z.enum(["up", "verify", "down", "schema-after-down", "up-again", "schema-after-up-again"]),
      message: z.string(),
      differences: z.array(z.string()).describe("Objects of the schema that are not as they were"),
    })
    .nullable(),
  up: fileRunSchema.nullable(),
  down: fileRunSchema.nullable(),
  dataLoss: z.array(lossSchema),
});

const passSchema = z.strictObject({
  from: z.enum(["empty", "copy"]),
  source: z
    .strictObject({
      kind: z.enum(["backup", "url"]),
      id: z.string().describe("The backup's id, or the URL's reference"),
      dataFrom: z.string().describe("The moment the data is from (RFC 3339, UTC)"),
      serverVersion: z.string(),
    })
    .nullable(),
  bytes: z.number().describe("Size of the database before the first migration"),
  durationMs: z.number(),
  notes: z.array(z.string()),
  migrations: z.array(migrationSchema).describe("In the order in which they were tested"),
});

const testedFileSchema = z.strictObject({
  version: z.string(),
  name: z.string(),
  up: z.string().describe("Checksum"),
  down: z.string().nullable(),
  verify: z.string().nullable(),
});

export const reportSchema = z.strictObject({
  format: z.literal("ops-migration-test"),
  version: z.literal(1),
  environment: z.string(),
  database: z.string(),
  digest: z.string().describe("Of the checksums of all the files that were tested"),
  startedAt: z.string(),
  finishedAt: z.string(),
  actor: z.string(),
  serverVersion: z.string().describe("Of the throw-away server"),
  verdict: z.enum(["pass", "fail"]),
  files: z.array(testedFileSchema),
  passes: z.array(passSchema),
});

export type MigrationTestReport = z.output<typeof reportSchema>;
export type TestedFile = z.output<typeof testedFileSchema>;
export type Pass = z.output<typeof passSchema>;
export type TestedMigration = z.output<typeof migrationSchema>;
export type FileRun = z.output<typeof fileRunSchema>;
export type StatementRun = z.output<typeof statementSchema>;
export type TakenLock = z.output<typeof lockSchema>;
export type Rewrite = z.output<typeof rewriteSchema>;
export type LockHold = z.output<typeof holdSchema>;
export type DataLoss = z.output<typeof lossSchema>;
