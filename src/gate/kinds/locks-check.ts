import { z } from "zod";
import { counted } from "../../core/counted.ts";
import { formatDuration } from "../../core/duration.ts";
import { duration, name } from "../../core/schema.ts";
import { parseThreshold, type Threshold } from "../../core/threshold.ts";
import { requireSight, withCatalog } from "../../postgres-health/catalog.ts";
import { type Blocking, type LockWaits, readLockWaits } from "../../postgres-health/lock-waits.ts";
import { shownQuery } from "../../postgres-health/shown-query.ts";
import { likePattern } from "../../postgres-health/transactions.ts";
import { defineCheck } from "../../run/check.ts";
import { judgeByLimits } from "../../run/limits.ts";

const usualLimit = parseThreshold("> 30s");

const input = z.strictObject({
  database: name("The database; default: the only one, or main").optional(),
  except: z
    .array(z.string().min(1))
    .default([])
    .describe("Applications that may wait, by application_name, * for any text: ops migrate*"),
  "show-queries": z
    .boolean()
    .default(false)
    .describe("The beginning of each query goes into the evidence; it may hold personal data"),
  timeout: duration("How long the query may run").prefault("10s"),
});

export const locksCheck = defineCheck({
  kind: "locks",
  summary: "How long the longest wait for a lock lasts (a duration), or how many sessions wait (a number)",
  why: "Sessions that wait for a lock pile up until connections run out, and a migration makes the queue longer.",
  remedy: "End the session at the head of the queue, which the reason names: pg_terminate_backend(PID).",
  input,
  limitUnits: ["duration", "number"],

  async measure(context, { database, except, timeout, "show-queries": queries }) {
    const target = context.environment.database(database);
    return withCatalog(target, { timeout, signal: context.signal }, async (catalog) => {
      const { rows, asked } = await readLockWaits(catalog, except.map(likePattern), queries);
      requireSight(asked);
      const [row] = rows;
      if (row === undefined) throw new Error("pg_stat_database has no row of this database");
      const text = (query: string | null) => (query === null ? null : shownQuery(query));
      const waits: LockWaits = {
        ...row,
        waiting: row.waiting.map((each) => ({ ...each, query: text(each.query) })),
        blocking: row.blocking.map((each) => ({ ...each, query: text(each.query) })),
      };
      const longest = waits.waiting[0]?.waitedMs ?? 0;
      return {
        value: longest,
        shown:
          waits.count === 0 ? "nobody waits" : `${waits.count} waiting, longest ${formatDuration(longest)}`,
        evidence: JSON.parse(JSON.stringify(waits)),
      };
    });
  },

  judge({ evidence }, _input, limits) {
    const waits = evidence as unknown as LockWaits;
    const fail = limits.fail ?? (limits.warn === undefined ? usualLimit : undefined);
    const valueFor = (limit: Threshold | undefined) =>
      limit?.unit === "number" ? waits.count : (waits.waiting[0]?.waitedMs ?? 0);
    return judgeByLimits(valueFor(fail ?? limits.warn), describe(waits), { ...limits, fail });
  },
});

function describe({ count, waiting, blocking }: LockWaits): string {
  const [longest] = waiting;
  if (longest === undefined) return "no session waits for a lock";
  const waits = `${counted(count, "session")} ${count === 1 ? "waits" : "wait"} for a lock, longest ${formatDuration(longest.waitedMs)}: pid ${longest.pid} "${longest.application}" for ${longest.mode} on ${longest.on}`;
  return blocking.length === 0 ? waits : `${waits}; behind ${blocking.slice(0, 3).map(head).join(", ")}`;
}

function head({ pid, application, state, transactionMs, query }: Blocking): string {
  if (pid === 0) return "a prepared transaction (see pg_prepared_xacts)";
  const age = transactionMs === null ? "" : `, in its transaction for ${formatDuration(transactionMs)}`;
  const text = query === null || query === "" ? "" : `: ${query}`;
  return `pid ${pid} "${application ?? "-"}"${state === null ? "" : `, ${state}`}${age}${text}`;
}
