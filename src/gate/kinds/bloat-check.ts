import { z } from "zod";
import { counted } from "../../core/counted.ts";
import { type Json, OpsError } from "../../core/errors.ts";
import { formatPercent } from "../../core/percent.ts";
import { duration, name, percentage, size } from "../../core/schema.ts";
import { formatBytes, parseSize } from "../../core/size.ts";
import { exceeds, parseThreshold } from "../../core/threshold.ts";
import { withCatalog } from "../../postgres-health/catalog.ts";
import {
  type DeadRows,
  type MeasuredBloat,
  measureBloat,
  readDeadRows,
} from "../../postgres-health/dead-rows.ts";
import { type CheckLimits, defineCheck, type Judgement } from "../../run/check.ts";

const usualLimit = parseThreshold("> 40%");
const usualWarning = parseThreshold("> 20%");
const usualSize = parseSize("64MiB");
/** Above the age from which autovacuum must freeze, it is behind; a little is usual, for it takes its time. */
const behindFactor = 1.5;

const input = z.strictObject({
  database: name("The database; default: the only one, or main").optional(),
  tables: z
    .array(z.string().min(1))
    .default([])
    .describe("Only these, with their schema: public.orders. Default: all"),
  "min-size": size("Smaller tables are left out. Default: 64MiB").default(usualSize),
  measured: z
    .boolean()
    .default(false)
    .describe(
      "Measure the worst five by pgstattuple_approx, which reads a part of them, instead of estimates",
    ),
  wraparound: percentage(
    "Fails where more of the two thousand million transaction numbers are in use",
  ).prefault("50%"),
  timeout: duration("How long a query may run").prefault("10s"),
});

type Evidence = DeadRows & { measured: MeasuredBloat[] | null };

export const bloatCheck = defineCheck({
  kind: "bloat",
  summary: "Share of dead rows in the worst table, and how far transaction numbers are from their end",
  why: "Dead rows make every scan longer, and a server that runs out of transaction numbers stops taking writes.",
  remedy:
    "VACUUM (ANALYZE) the table, and see what holds vacuum back with a check of kind long-transactions; then make autovacuum more eager for it.",
  input,
  limitUnits: ["percent"],

  async measure(context, settings) {
    const { timeout, tables: names, "min-size": least, measured: wantsMeasured } = settings;
    const target = context.environment.database(settings.database);
    return withCatalog(target, { timeout, signal: context.signal }, async (catalog) => {
      const { rows, asked } = await readDeadRows(catalog, names.length === 0 ? least : 0, names);
      const [row] = rows;
      if (row === undefined) throw new Error("a server has at least one database");
      if (asked.isStandby) {
        throw new OpsError(
          "E_STANDBY",
          `Database ${target.name} is a standby, and only a primary counts dead rows`,
        );
      }
      if (names.length > row.looked) {
        throw new OpsError("E_CHECK_VALUE", `Of the tables ${names.join(", ")} there are only ${row.looked}`);
      }
      const found = row.tables.map((each) => each.name);
      const measured = wantsMeasured
        ? await measureBloat(catalog, [...found, ...row.uncounted.slice(0, 5)])
        : null;
      const worst = worstOf({ ...row, measured });
      return {
        value: worst?.percent ?? 0,
        shown: worst === undefined ? "no table" : `${formatPercent(worst.percent)} of ${worst.name}`,
        evidence: JSON.parse(JSON.stringify({ ...row, measured })) as Json,
      };
    });
  },

  judge({ evidence }, settings, limits) {
    return judge(evidence as unknown as Evidence, settings, limits);
  },
});

interface Worst {
  readonly name: string;
  readonly percent: number;
  readonly text: string;
}

function worstOf({ tables, measured }: Evidence): Worst | undefined {
  const all: Worst[] =
    measured === null
      ? tables.map((each) => ({
          name: each.name,
          percent: each.deadPercent,
          text: `an estimated ${formatPercent(each.deadPercent)} of the rows of ${each.name} (${formatBytes(each.bytes)}) are dead`,
        }))
      : measured.map((each) => ({
          name: each.name,
          percent: Math.round((each.deadPercent + each.freePercent) * 10) / 10,
          text: `${formatPercent(each.deadPercent)} of ${each.name} is dead rows and ${formatPercent(each.freePercent)} free`,
        }));
  return all.sort((a, b) => b.percent - a.percent)[0];
}

function judge(
  seen: Evidence,
  { wraparound: mostUsed, "min-size": least, tables: names }: z.output<typeof input>,
  limits: CheckLimits,
): Judgement {
  const isUsual = limits.fail === undefined && limits.warn === undefined;
  const fail = limits.fail ?? (isUsual ? usualLimit : undefined);
  const warn = limits.warn ?? (isUsual ? usualWarning : undefined);
  const { database, xidAge, multixactAge, usedPercent, xidFreezeAge, multixactFreezeAge } = seen.wraparound;
  const age = `${formatPercent(usedPercent)} of the transaction numbers are in use in database ${database}`;
  const worst = worstOf(seen);
  const failed = [
    ...(usedPercent > mostUsed ? [`${age}, limit ${formatPercent(mostUsed)}`] : []),
    ...(worst !== undefined && fail !== undefined && exceeds(worst.percent, fail)
      ? [`${worst.text}, limit ${fail.text}`]
      : []),
  ];
  if (failed.length > 0) return { status: "fail", reason: failed.join("; ") };
  if (seen.measured === null && !seen.trackCounts) {
    return { status: "unknown", reason: "track_counts is off: nobody counts dead rows" };
  }
  const unseen = seen.uncounted.filter((each) => !seen.measured?.some((one) => one.name === each));
  if (unseen.length > 0) {
    const some = unseen.slice(0, 3).join(", ");
    const reason = `the statistics of ${counted(unseen.length, "table")} were lost (${some}): ANALYZE counts their rows again`;
    return { status: "unknown", reason };
  }
  const warned = [
    ...(worst !== undefined && warn !== undefined && exceeds(worst.percent, warn)
      ? [`${worst.text}, limit ${warn.text}`]
      : []),
    ...(seen.autovacuum ? [] : ["autovacuum is off"]),
    ...seen.tables.filter((each) => each.unattended).map((each) => `autovacuum is off for ${each.name}`),
    ...(Math.max(xidAge / xidFreezeAge, multixactAge / multixactFreezeAge) > behindFactor
      ? [`freezing is behind: ${age}`]
      : []),
  ];
  if (warned.length > 0) return { status: "warn", reason: warned.join("; ") };
  const none = names.length > 0 ? "no table is there" : `no table has ${formatBytes(least)}`;
  return { status: "pass", reason: `${worst?.text ?? none}; ${age}` };
}
