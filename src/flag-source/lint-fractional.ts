import type { Json } from "../core/errors.ts";
import type { Problem } from "./lint.ts";

/** The largest sum of weights that flagd takes. */
const largest = 2 ** 31 - 1;

/** Of `fractional`: an optional text to bucket by, then `[variant, weight]` or `[variant]` (weight 1) for each share. */
export function fractionalProblems(values: readonly Json[]): Problem[] {
  const shares = Array.isArray(values[0]) ? values : values.slice(1);
  const problems: Problem[] = [];
  const error = (rule: string, message: string, hint?: string): void => {
    problems.push({ severity: "error", rule, message, ...(hint !== undefined && { hint }) });
  };
  if (shares.length === 0) error("fractional", "has a fractional without shares");
  let sum = 0;
  let isCounted = shares.length > 0;
  let isWeighted = false;
  for (const share of shares) {
    if (!Array.isArray(share) || share.length === 0 || share.length > 2) {
      error("fractional", "has a fractional with a share that is not [variant, weight]");
      isCounted = false;
      continue;
    }
    const weight = share.length === 1 ? 1 : share[1];
    isWeighted ||= share.length === 2;
    if (typeof weight === "number" && Number.isInteger(weight) && weight >= 0) sum += weight;
    else if (typeof weight === "object" && weight !== null) isCounted = false;
    else {
      isCounted = false;
      error(
        "fractional-weight",
        `has a fractional with the weight ${JSON.stringify(weight)}`,
        "weights are whole numbers from 0 up: 0.5% is 5 of 1000",
      );
    }
  }
  if (!isCounted) return problems;
  if (sum === 0) error("fractional-sum", "has a fractional whose weights are all 0");
  else if (sum > largest)
    error("fractional-sum", `has a fractional whose weights sum to more than ${largest}`);
  else if (isWeighted && ![100, 1000, 10_000].includes(sum)) {
    problems.push({
      severity: "warning",
      rule: "fractional-sum",
      message: `has a fractional whose weights sum to ${sum}, not to 100`,
      hint: "flagd takes them as parts of their sum",
    });
  }
  return problems;
}
