import type pg from "pg";
import { z } from "zod";
import { formatDuration } from "../../core/duration.ts";
import { OpsError } from "../../core/errors.ts";
import { duration, name } from "../../core/schema.ts";
import { readOnlyRows } from "../../postgres/read-only-query.ts";
import { type CheckLimits, defineCheck, type Judgement, type Measurement } from "../../run/check.ts";
import { hasLimits, judgeByLimits, needsDuration } from "../../run/limits.ts";

/** Type OIDs that never change (pg_type.dat). */
const oid = {
  int8: 20,
  int2: 21,
  int4: 23,
  oid: 26,
  float4: 700,
  float8: 701,
  interval: 1186,
  numeric: 1700,
};
const numeric: readonly number[] = [
  oid.int8,
  oid.int2,
  oid.int4,
  oid.oid,
  oid.float4,
  oid.float8,
  oid.numeric,
];
const shownLength = 200;

/** `evidence.type`: what the first column was, for a value alone does not say whether 12 is a time. */
type ValueType = "boolean" | "number" | "interval" | "text" | "null";

/**
 * The first column of the first row. The query runs alone (one statement) in a READ ONLY transaction that is rolled
 * back, so that it cannot write tables; what functions may do beyond that is for the role's rights to limit.
 */
export const sqlCheck = defineCheck({
  kind: "sql",
  summary: "The first column of a query's first row: a boolean that must be true, or a number for a limit",
  input: z.strictObject({
    query: z
      .string()
      .trim()
      .min(1, "must not be empty")
      .describe("One SQL statement that only reads; its first column is the value"),
    database: name("The database; default: the only one, or main").optional(),
    timeout: duration("How long the query may run").prefault("10s"),
  }),
  measure: async (context, input) =>
    measured(
      await readOnlyRows(context.environment.database(input.database), {
        text: input.query,
        timeout: input.timeout,
        applicationName: "ops gate",
        signal: context.signal,
      }),
    ),
  judge: (measurement, _input, limits) => judge(measurement, limits),
});

function measured(result: pg.QueryArrayResult<unknown[]>): Measurement {
  return { ...firstValue(result), raw: JSON.stringify(result.rows) };
}

function firstValue(result: pg.QueryArrayResult<unknown[]>): Measurement {
  const [row] = result.rows;
  const type = result.fields?.[0]?.dataTypeID;
  if (type === undefined) throw new OpsError("E_CHECK_VALUE", "The statement returns no columns");
  if (row === undefined) throw new OpsError("E_CHECK_VALUE", "The query returned no rows");
  const [raw] = row;
  if (raw === null) return measurement(null, "NULL", "null");
  if (typeof raw === "boolean") return measurement(raw, String(raw), "boolean");
  if (type === oid.interval) {
    const ms = intervalMilliseconds(raw as Partial<Record<string, number>>);
    const shown = ms < 0 ? `-${formatDuration(-ms)}` : formatDuration(ms);
    return measurement(ms, shown, "interval");
  }
  // bigint and numeric arrive as text.
  if (numeric.includes(type) && Number.isFinite(Number(raw)))
    return measurement(Number(raw), String(raw), "number");
  const text =
    raw instanceof Date ? raw.toISOString() : typeof raw === "object" ? JSON.stringify(raw) : String(raw);
  return measurement(text.slice(0, shownLength), JSON.stringify(text.slice(0, shownLength)), "text");
}

function measurement(value: Measurement["value"], shown: string, type: ValueType): Measurement {
  return { value, shown, evidence: { type } };
}

/** As `extract(epoch from …)` counts: a year is 365.25 days, a month 30. */
function intervalMilliseconds(interval: Partial<Record<string, number>>): number {
  const { years = 0, months = 0, days = 0, hours = 0, minutes = 0, seconds = 0, milliseconds = 0 } = interval;
  const wholeDays = years * 365.25 + months * 30 + days;
  return (((wholeDays * 24 + hours) * 60 + minutes) * 60 + seconds) * 1000 + milliseconds;
}

function judge(measurement: Measurement, limits: CheckLimits): Judgement {
  const { value, shown, evidence } = measurement;
  const type = (evidence as { type: ValueType }).type;
  const unknown = (reason: string): Judgement => ({ status: "unknown", reason });
  if (type === "null") return unknown("the query returned NULL");
  if (typeof value === "number") {
    if (!hasLimits(limits)) {
      return unknown(`the query returned ${shown} and no limit says what is good: add "fail:"`);
    }
    if (needsDuration(limits) !== (type === "interval")) {
      return type === "interval"
        ? unknown(`the query returned an interval (${shown}), the limit is no duration: write "> 10s"`)
        : unknown(`the limit is a duration and the query returned the number ${shown}: return an interval`);
    }
    return judgeByLimits(value, shown, limits);
  }
  if (hasLimits(limits)) return unknown(`a limit needs a number, the query returned ${shown}`);
  if (typeof value !== "boolean") return unknown(`the query returned the text ${shown}: return a boolean`);
  return { status: value ? "pass" : "fail", reason: `the query returned ${shown}` };
}
