/** What a number may be, for what was seen; infinite where too little was seen. */
export interface Interval {
  readonly estimate: number;
  readonly low: number;
  readonly high: number;
}

/** What must hold: `< 100`. */
export interface Bound {
  readonly operator: "<" | "<=" | ">" | ">=";
  readonly value: number;
}

export type IntervalAnswer =
  | { readonly status: "pass" | "fail" }
  /** `factor`: how many times as many samples would do if the estimate stays; null where it lies at the bound. */
  | { readonly status: "unknown"; readonly factor: number | null };

/** More than that nobody waits for. */
const mostFactor = 1000;

/**
 * Whether the bound holds: yes where it does for the whole interval, no where it does for none of it. In between nobody
 * knows, and the width of an interval shrinks with the square root of the number of samples.
 */
export function answerOf({ estimate, low, high }: Interval, { operator, value }: Bound): IntervalAnswer {
  const isUpper = operator === "<" || operator === "<=";
  const holds = isUpper ? below(high, operator, value) : above(low, operator, value);
  if (holds) return { status: "pass" };
  // With rounded values an end often lies on the bound itself, and that is no proof.
  const misses = isUpper ? low > value : high < value;
  if (misses) return { status: "fail" };
  const gap = Math.abs(value - estimate);
  const reach = estimate < value ? high - estimate : estimate - low;
  const factor = (reach / gap) ** 2;
  return { status: "unknown", factor: Number.isFinite(factor) && factor <= mostFactor ? factor : null };
}

function below(value: number, operator: Bound["operator"], limit: number): boolean {
  return operator === "<" ? value < limit : value <= limit;
}

function above(value: number, operator: Bound["operator"], limit: number): boolean {
  return operator === ">" ? value > limit : value >= limit;
}
