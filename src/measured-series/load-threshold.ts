import { UsageError } from "../core/errors.ts";
import { suggestion } from "../core/suggestion.ts";
import { type MeasureLimit, parseMeasureLimit } from "./limit.ts";

/** What a load can be held to, with the unit that its limit must have. */
const units = {
  p50: "duration",
  p75: "duration",
  p90: "duration",
  p95: "duration",
  p99: "duration",
  "p99.9": "duration",
  mean: "duration",
  max: "duration",
  "error-rate": "percent",
  throughput: "number",
} as const;

export type LoadMeasure = keyof typeof units;

export interface LoadThreshold extends MeasureLimit {
  readonly measure: LoadMeasure;
}

const examples = { duration: "p95<200ms", percent: "error-rate<1%", number: "throughput>1000" };

/** `p95<200ms`: what must hold, unlike the limits of a gate, which say what must not. Throws `E_LIMIT`. */
export function parseLoadThreshold(text: string): LoadThreshold {
  const limit = parse(text);
  const { measure } = limit;
  if (!isMeasure(measure)) {
    throw new UsageError("E_LIMIT", `"${limit.text}" is about "${measure}", which a load does not measure`, {
      hint: suggestion(measure, Object.keys(units)),
    });
  }
  const unit = units[measure];
  if (limit.of !== "value" || limit.unit !== unit) {
    throw new UsageError("E_LIMIT", `"${limit.text}" is no threshold for ${measure}`, {
      hint: `write what must hold, as in ${examples[unit]}`,
    });
  }
  return { ...limit, measure };
}

function parse(text: string): MeasureLimit {
  try {
    return parseMeasureLimit(text);
  } catch (error) {
    if (!(error instanceof UsageError) || error.code !== "E_LIMIT") throw error;
    throw new UsageError("E_LIMIT", `"${text}" is not a threshold of a load`, {
      hint: `write what must hold: ${Object.values(examples).join(", ")}`,
    });
  }
}

function isMeasure(text: string): text is LoadMeasure {
  return Object.hasOwn(units, text);
}
