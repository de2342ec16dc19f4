import { z } from "zod";

/** What a line of k6's JSON output says that counts here. */
export type K6Point =
  | {
      readonly kind: "answer";
      /** Milliseconds since 1970 at which the request ended. */
      readonly at: number;
      readonly ms: number;
      /** 0 where there was no answer. */
      readonly status: number;
      readonly timedOut: boolean;
      /** Place in the scenario. */
      readonly step: number;
      /** Not told by request. */
      readonly bytes: 0;
    }
  | { readonly kind: "tick"; readonly at: number };

const point = z.object({
  type: z.literal("Point"),
  metric: z.string(),
  data: z.object({
    time: z
      .string()
      .transform((text) => Date.parse(text))
      .refine(Number.isFinite),
    value: z.number(),
    tags: z.record(z.string(), z.string()).nullish(),
  }),
});

/** k6's code of a request that was given up (docs: "Error codes"). */
const timeoutCode = "1050";

/**
 * A line of `k6 run --out json=…`, as k6's documentation has it: a `Metric` describes a metric, a `Point` is one value
 * with its tags. Undefined for what is neither an answer nor a sign of time.
 */
export function parsePoint(line: string): K6Point | undefined {
  if (!line.startsWith("{")) return undefined;
  let json: unknown;
  try {
    json = JSON.parse(line);
  } catch {
    // Half a line, at the end of a k6 that was stopped.
    return undefined;
  }
  const found = point.safeParse(json);
  if (!found.success) return undefined;
  const { metric, data } = found.data;
  if (metric === "vus") return { kind: "tick", at: data.time };
  if (metric !== "http_req_duration") return undefined;
  const tags = data.tags ?? {};
  return {
    kind: "answer",
    at: data.time,
    ms: data.value,
    status: Number(tags.status ?? 0),
    timedOut: tags.error_code === timeoutCode,
    step: Number(/^\d+/.exec(tags.name ?? "")?.[0] ?? 0),
    bytes: 0,
  };
}
