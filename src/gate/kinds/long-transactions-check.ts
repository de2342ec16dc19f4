import { z } from "zod";
import { counted } from "../../core/counted.ts";
import { formatDuration } from "../../core/duration.ts";
import { duration, name } from "../../core/schema.ts";
import { parseThreshold } from "../../core/threshold.ts";
import { requireSight, withCatalog } from "../../postgres-health/catalog.ts";
import { shownQuery } from "../../postgres-health/shown-query.ts";
import {
  type HeldBack,
  likePattern,
  type OpenTransaction,
  readTransactions,
} from "../../postgres-health/transactions.ts";
import { defineCheck } from "../../run/check.ts";
import { judgeByLimits } from "../../run/limits.ts";

const usualLimit = parseThreshold("> 5m");

const input = z.strictObject({
  database: name("The database; default: the only one, or main").optional(),
  everywhere: z.boolean().default(false).describe("In every database of the server, not only in this one"),
  autovacuum: z.boolean().default(false).describe("Autovacuum's transactions count too"),
  except: z
    .array(z.string().min(1))
    .default([])
    .describe("Applications whose transactions may be long, by application_name, * for any text: pg_dump*"),
  "held-back": z
    .int()
    .positive()
    .optional()
    .describe("Fails where something keeps vacuum from removing what died this many transactions ago"),
  "show-queries": z
    .boolean()
    .default(false)
    .describe("The beginning of each query goes into the evidence; it may hold personal data"),
  timeout: duration("How long the query may run").prefault("10s"),
});

type Evidence = { count: number; transactions: OpenTransaction[]; heldBack: HeldBack[] };

export const longTransactionsCheck = defineCheck({
  kind: "long-transactions",
  summary: "Age of the oldest transaction that is open, prepared ones too",
  why: "A migration waits behind it and everybody else behind the migration, and vacuum removes nothing that died since.",
  remedy:
    "Ask whoever has it to end it; pg_terminate_backend(PID) ends a session, ROLLBACK PREPARED 'NAME' a prepared one.",
  input,
  limitUnits: ["duration"],

  async measure(context, settings) {
    const { timeout, everywhere, autovacuum, except, "show-queries": queries } = settings;
    const target = context.environment.database(settings.database);
    return withCatalog(target, { timeout, signal: context.signal }, async (catalog) => {
      const question = { everywhere, autovacuum, except: except.map(likePattern), queries };
      const { rows, asked } = await readTransactions(catalog, question);
      requireSight(asked);
      const { count = 0, heldBack = [] } = rows[0] ?? {};
      const transactions = (rows[0]?.transactions ?? []).map((each) => ({
        ...each,
        query: each.query === null ? null : shownQuery(each.query),
      }));
      const [oldest] = transactions;
      return {
        value: oldest?.ageMs ?? 0,
        shown: oldest === undefined ? "no transaction is open" : formatDuration(oldest.ageMs),
        evidence: { count, transactions, heldBack: [...heldBack] },
      };
    });
  },

  judge({ evidence }, { "held-back": mostHeld }, limits) {
    const { count, transactions, heldBack } = evidence as unknown as Evidence;
    const [oldest] = transactions;
    const [held] = heldBack;
    if (mostHeld !== undefined && held !== undefined && held.xidAge > mostHeld) {
      const reason = `${held.by} ${held.name} holds vacuum back by ${held.xidAge} transactions, limit > ${mostHeld}`;
      return { status: "fail", reason };
    }
    const reason =
      oldest === undefined
        ? "no transaction is open"
        : `oldest of ${counted(count, "open transaction")}: ${describe(oldest)}`;
    const fail = limits.fail ?? (limits.warn === undefined ? usualLimit : undefined);
    return judgeByLimits(oldest?.ageMs ?? 0, reason, { ...limits, fail });
  },
});

function describe({
  kind,
  pid,
  gid,
  user,
  application,
  state,
  ageMs,
  waitsFor,
  query,
}: OpenTransaction): string {
  const age = formatDuration(ageMs);
  if (kind === "prepared") return `prepared transaction ${gid} of ${user}, ${age} old`;
  const waits = waitsFor?.startsWith("Lock: ") ? ", waits for a lock" : "";
  const text = query === null || query === "" ? "" : `: ${query}`;
  return `pid ${pid} "${application}" of ${user}, ${state ?? "background"}${waits}, ${age} old${text}`;
}
