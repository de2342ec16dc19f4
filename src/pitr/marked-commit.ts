import type pg from "pg";
import { z } from "zod";
import { type Json, OpsError } from "../core/errors.ts";
import type { OperationContext } from "../run/context.ts";
import type { Report } from "../run/operation.ts";

/** What is known of the one transaction that changes the live database, durable before it commits. */
const markSchema = z.object({
  /** 64 bits. */
  transaction: z.string(),
  /** Of the table that it makes; null where it puts rows into one. */
  oid: z.string().nullable(),
  rows: z.number(),
  /** Rows that were there already, under the same key. */
  skipped: z.number(),
  notes: z.array(z.string()),
});

export type Mark = z.output<typeof markSchema>;

/** Commits; killed at any moment, `markOf` and `isCommitted` tell whether it happened. */
export async function commitMarked(
  client: pg.Client,
  work: Omit<Mark, "transaction">,
  report: Report,
): Promise<Mark> {
  const { rows } = await client.query<{ transaction: string }>(
    "SELECT pg_current_xact_id()::text AS transaction",
  );
  const mark = { ...work, transaction: rows[0]?.transaction ?? "" };
  await report.checkpoint(mark);
  await client.query("COMMIT");
  return mark;
}

/** Of an earlier attempt that came as far as its commit. */
export function markOf(checkpoint: Json | undefined): Mark | undefined {
  return markSchema.safeParse(checkpoint).data;
}

/** Milliseconds between two questions, and until a transaction whose client is gone must have ended. */
const pollInterval = 500;
const longestWait = 60_000;

/** Waits for the end of a transaction whose client was killed. Throws where it does not end, or is forgotten. */
export async function isCommitted(
  client: pg.Client,
  { transaction }: Mark,
  context: OperationContext,
  signal: AbortSignal,
): Promise<boolean> {
  const deadline = context.clock.elapsed() + longestWait;
  for (;;) {
    const { rows } = await client.query<{ status: string | null }>(
      "SELECT pg_xact_status($1::text::xid8) AS status",
      [transaction],
    );
    const status = rows[0]?.status ?? null;
    if (status === "committed" || status === "aborted") return status === "committed";
    if (status === null) {
      throw new OpsError(
        "E_DATABASE_CHANGED",
        `The server no longer knows how transaction ${transaction} ended`,
        {
          hint: "look whether its rows are there; then begin anew: ops runs rollback, ops pitr extract",
          retryable: false,
        },
      );
    }
    if (context.clock.elapsed() >= deadline) {
      throw new OpsError(
        "E_LOCK_TIMEOUT",
        `Transaction ${transaction} of an earlier attempt has not ended yet`,
        {
          hint: "it ends by itself once the server sees that its client is gone; then: ops runs resume",
        },
      );
    }
    await context.clock.sleep(pollInterval, signal);
  }
}
