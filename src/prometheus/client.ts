import { z } from "zod";
import { OpsError } from "../core/errors.ts";
import { redact } from "../core/redaction.ts";
import { singleValue, type ValueOutcome, type VectorOutcome } from "./outcome.ts";
import { askPrometheus, type PrometheusAnswer, type PrometheusServer, refusal } from "./request.ts";

export type { PrometheusServer };

export interface QueryOptions {
  readonly signal?: AbortSignal | undefined;
}

/**
 * An instant query: all series of an expression as they are now (HTTP API v1; a scalar is a series without labels).
 * Throws the signal's reason only; whatever else goes wrong is an outcome.
 */
export async function queryVector(
  server: PrometheusServer,
  expression: string,
  options: QueryOptions = {},
): Promise<VectorOutcome> {
  const { signal } = options;
  try {
    const question = { path: "query", asked: expression, parameters: { query: expression } };
    return understood(await askPrometheus(server, question, signal));
  } catch (error) {
    if (signal?.aborted === true || !(error instanceof OpsError)) throw error;
    return { kind: "error", error };
  }
}

/** An instant query for one number. Throws like `queryVector`. */
export async function queryValue(
  server: PrometheusServer,
  expression: string,
  options: QueryOptions = {},
): Promise<ValueOutcome> {
  return singleValue(expression, await queryVector(server, expression, options));
}

/** A value is text, since JSON has no NaN: `"NaN"`, `"+Inf"`, `"12"`. */
export const point = z.tuple([z.number(), z.string().transform(parseValue)]);
const success = z.object({
  status: z.literal("success"),
  warnings: z.array(z.string()).default([]),
  data: z.discriminatedUnion("resultType", [
    z.object({
      resultType: z.literal("vector"),
      result: z.array(z.object({ metric: z.record(z.string(), z.string()), value: point })),
    }),
    z.object({ resultType: z.literal("scalar"), result: point }),
  ]),
});

function understood(answer: PrometheusAnswer): VectorOutcome {
  const found = success.safeParse(answer.json);
  if (!found.success) throw refusal(answer);
  const { data } = found.data;
  const warnings = found.data.warnings.map(redact);
  if (data.resultType === "scalar") {
    return { kind: "samples", samples: [{ labels: {}, value: data.result[1] }], warnings };
  }
  if (data.result.length === 0) return { kind: "empty", warnings };
  const samples = data.result.map(({ metric, value: [, value] }) => ({ labels: metric, value }));
  return { kind: "samples", samples, warnings };
}

function parseValue(text: string, context: z.RefinementCtx): number {
  if (text === "NaN") return Number.NaN;
  const infinite = /^([+-]?)Inf$/.exec(text);
  if (infinite !== null) return infinite[1] === "-" ? Number.NEGATIVE_INFINITY : Number.POSITIVE_INFINITY;
  const value = text.trim() === "" ? Number.NaN : Number(text);
  if (!Number.isNaN(value)) return value;
  context.addIssue({ code: "custom", message: "is no value of Prometheus" });
  return z.NEVER;
}
