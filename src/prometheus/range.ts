import { z } from "zod";
import { redact } from "../core/redaction.ts";
import { point } from "./client.ts";
import type { Labels } from "./outcome.ts";
import { askPrometheus, type PrometheusServer, refusal } from "./request.ts";

/** One series of a range: its values in their order, without those that are no number. */
export interface RangeSeries {
  readonly labels: Labels;
  readonly values: readonly number[];
}

export interface Range {
  /** Milliseconds since 1970. */
  readonly end: number;
  /** Milliseconds before the end that it begins. */
  readonly over: number;
  /** Milliseconds between two values. */
  readonly step: number;
}

const success = z.object({
  status: z.literal("success"),
  warnings: z.array(z.string()).default([]),
  data: z.object({
    resultType: z.literal("matrix"),
    result: z.array(z.object({ metric: z.record(z.string(), z.string()), values: z.array(point) })),
  }),
});

/**
 * A range query: every series of an expression over some time. Throws what an instant query tells as an error, like
 * `E_PROMETHEUS_QUERY`.
 */
export async function queryRange(
  server: PrometheusServer,
  expression: string,
  { end, over, step }: Range,
  signal: AbortSignal | undefined,
): Promise<{ readonly series: readonly RangeSeries[]; readonly warnings: readonly string[] }> {
  const parameters = {
    query: expression,
    start: String((end - over) / 1000),
    end: String(end / 1000),
    step: String(step / 1000),
  };
  const answer = await askPrometheus(server, { path: "query_range", asked: expression, parameters }, signal);
  const found = success.safeParse(answer.json);
  if (!found.success) throw refusal(answer);
  const series = found.data.data.result.map(({ metric, values }) => ({
    labels: metric,
    values: values.map(([, value]) => value).filter((value) => Number.isFinite(value)),
  }));
  return { series, warnings: found.data.warnings.map(redact) };
}
