import pg from "pg";
import { z } from "zod";
import { formatDuration } from "../../core/duration.ts";
import { OpsError } from "../../core/errors.ts";
import { formatPercent } from "../../core/percent.ts";
import { duration, name } from "../../core/schema.ts";
import { exceeds, parseThreshold, type Threshold } from "../../core/threshold.ts";
import { requireSight, withCatalog } from "../../postgres-health/catalog.ts";
import { type Connections, type OwnLimit, readConnections } from "../../postgres-health/sessions.ts";
import { type CheckLimits, defineCheck, type Judgement } from "../../run/check.ts";

const usualLimit = parseThreshold("> 90%");
const usualWarning = parseThreshold("> 75%");

/** `too_many_connections`: the server answers, and says that no connection is left. */
const tooMany = "53300";

const input = z.strictObject({
  database: name("A database of the server").optional(),
  "idle-in-transaction": duration(
    "Fails where a session has been idle in its transaction for longer: 10m",
  ).optional(),
  timeout: duration("How long the query may run").prefault("10s"),
});

type Evidence = Connections & { usedPercent: number; pooled: boolean };

export const connectionsCheck = defineCheck({
  kind: "connections",
  summary: "Connections in use, in percent of those that applications may open, or as a number",
  why: "A server without a free connection refuses everybody, and those who would help too.",
  remedy:
    "Close what is idle (the evidence names the applications), make pools smaller or put PgBouncer in front; max_connections needs a restart.",
  input,
  limitUnits: ["percent", "number"],

  async measure(context, { database, timeout }) {
    const target = context.environment.database(database);
    try {
      return await withCatalog(target, { timeout, signal: context.signal }, async (catalog) => {
        const { rows, asked } = await readConnections(catalog);
        requireSight(asked);
        const [row] = rows;
        if (row === undefined) throw new Error("a count answers with one row");
        const usedPercent = rounded(100 * (row.used / row.usable));
        const evidence = { ...row, own: [...row.own], usedPercent, pooled: asked.isPooled };
        return {
          value: usedPercent,
          shown: `${formatPercent(usedPercent)} of ${row.usable}`,
          evidence: JSON.parse(JSON.stringify(evidence)),
        };
      });
    } catch (error) {
      if (!isFull(error)) throw error;
      return { value: 100, shown: "none is left: too many clients already", evidence: null };
    }
  },

  judge({ shown, evidence }, settings, limits) {
    if (evidence === null || evidence === undefined)
      return { status: "fail", reason: `of the connections of the server ${shown}` };
    return judge(evidence as unknown as Evidence, settings, limits);
  },
});

function judge(
  seen: Evidence,
  { "idle-in-transaction": longestIdle }: z.output<typeof input>,
  limits: CheckLimits,
): Judgement {
  const isUsual = limits.fail === undefined && limits.warn === undefined;
  const fail = limits.fail ?? (isUsual ? usualLimit : undefined);
  const warn = limits.warn ?? (isUsual ? usualWarning : undefined);
  const total = `${seen.used} of ${seen.usable} connections are in use (${formatPercent(seen.usedPercent)})`;
  const beyond = (limit: Threshold | undefined) => {
    if (limit === undefined) return [];
    const isPercent = limit.unit === "percent";
    const own = isPercent ? seen.own.filter((each) => exceeds(share(each), limit)) : [];
    return [
      ...(exceeds(isPercent ? seen.usedPercent : seen.used, limit) ? [`${total}, limit ${limit.text}`] : []),
      ...own.map(
        (each) => `${each.of} ${each.name} has ${each.used} of its ${each.limit}, limit ${limit.text}`,
      ),
    ];
  };
  const idle = seen.longestIdleMs ?? 0;
  const tooIdle =
    longestIdle !== undefined && idle > longestIdle
      ? [
          `a session is idle in its transaction for ${formatDuration(idle)}, limit ${formatDuration(longestIdle)}`,
        ]
      : [];
  const failed = [...beyond(fail), ...tooIdle];
  if (failed.length > 0) return { status: "fail", reason: failed.join("; ") + pooledNote(seen) };
  const warned = beyond(warn);
  if (warned.length > 0) return { status: "warn", reason: warned.join("; ") + pooledNote(seen) };
  const idleNote = seen.idleInTransaction === 0 ? "" : `, ${seen.idleInTransaction} idle in a transaction`;
  return { status: "pass", reason: total + idleNote + pooledNote(seen) };
}

function pooledNote({ pooled }: Evidence): string {
  return pooled ? "; those of the pooler in between: clients that wait for one are not seen" : "";
}

function share({ used, limit }: OwnLimit): number {
  return rounded((100 * used) / limit);
}

function rounded(percent: number): number {
  return Math.round(percent * 10) / 10;
}

function isFull(error: unknown): boolean {
  return error instanceof OpsError && error.cause instanceof pg.DatabaseError && error.cause.code === tooMany;
}
