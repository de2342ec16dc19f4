import { z } from "zod";
import { duration, name, writtenDuration } from "../core/schema.ts";
import { parseMeasureLimit } from "../measured-series/limit.ts";
import { written } from "./load-schema.ts";
import { httpEndpoint, httpUrl } from "./metrics-schema.ts";
import { secret } from "./secret-field.ts";

/** What a baseline is measured from, and what may change against it. */

const text = (what: string) => z.string().trim().min(1, "must not be empty").describe(what);

const unit = z
  .enum(["ms", "s", "bytes", "percent", "per-second", "number"])
  .default("number")
  .describe("What the number is; seconds are kept as milliseconds");

export const prometheusMeasureSchema = z.strictObject({
  source: z.literal("prometheus").describe("Where the number comes from"),
  url: secret("URL of Prometheus, or what speaks its interface, before /api/v1").superRefine(httpUrl),
  ...httpEndpoint,
  query: text("PromQL that gives one number"),
  unit,
});

export const jsonMeasureSchema = z.strictObject({
  source: z.literal("json"),
  url: secret("URL of a JSON document").superRefine(httpUrl),
  ...httpEndpoint,
  path: text("JSONPath (RFC 9535) of a number: $.memory.rss"),
  unit,
});

export const sqlMeasureSchema = z.strictObject({
  source: z.literal("sql"),
  database: name("The database; default: the only one, or main").optional(),
  query: text("One statement that only reads; the first column of its first row is the number"),
  timeout: writtenDuration("How long the query may run").default("5s"),
  unit,
});

export const commandMeasureSchema = z.strictObject({
  source: z.literal("command"),
  command: z.array(z.string()).min(1, "needs a program").describe("A program and its arguments, as a list"),
  cwd: z.string().optional().describe("Folder it runs in, relative to the configuration file"),
  timeout: writtenDuration("How long it may run").default("1m"),
  measure: z
    .enum(["time", "output"])
    .default("time")
    .describe("time: how long it runs; output: the number on the last line of its output"),
  unit,
});

export const measureSourceSchema = z.discriminatedUnion("source", [
  prometheusMeasureSchema,
  jsonMeasureSchema,
  sqlMeasureSchema,
  commandMeasureSchema,
]);
export type MeasureSource = z.output<typeof measureSourceSchema>;

export const baselineSchema = z
  .strictObject({
    file: z
      .string()
      .min(1, "must not be empty")
      .optional()
      .describe("Where it is kept, relative to this file; default: baselines/NAME.json"),
    load: name("The load whose newest result it is of").optional(),
    measures: z
      .record(name("A measure's name"), measureSourceSchema)
      .default({})
      .describe("What is measured instead"),
    samples: z.number().int().min(10).max(1000).default(30).describe("How many values of each measure"),
    interval: duration("Time between two values; commands run one after the other").prefault("5s"),
    limits: z
      .array(z.string().superRefine(written(parseMeasureLimit)))
      .default([])
      .describe("What may change: p95 increase < 100ms, memory increase < 5%, error-rate +1%, start-up < 5s"),
  })
  .refine((each) => (each.load === undefined) !== (Object.keys(each.measures).length === 0), {
    error: 'needs either "load" or "measures"',
    params: { hint: "write load: NAME of one of the loads, or what is to be measured" },
  });

export type BaselineSettings = z.output<typeof baselineSchema>;
