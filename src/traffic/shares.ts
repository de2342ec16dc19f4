import { UsageError } from "../core/errors.ts";
import { formatPercent, type Percent } from "../core/percent.ts";
import type { Weights } from "./traffic-driver.ts";

/** The largest weight of a server: HAProxy's, and every other balancer here takes at least that. */
const maximumWeight = 256;
/** How far, in percentage points, a split may be from what was asked for. */
const tolerance = 0.2;

/** Version → percent of the traffic. */
export type Shares = { [version: string]: number };

/** All zero where no version has weight. */
export function sharesOf(weights: Weights): Shares {
  const total = Object.values(weights).reduce((sum, weight) => sum + weight, 0);
  return Object.fromEntries(
    Object.entries(weights).map(([version, weight]) => [version, total === 0 ? 0 : (100 * weight) / total]),
  );
}

/** `blue 90%, green 10%`. */
export function formatShares(weights: Weights): string {
  return Object.entries(sharesOf(weights))
    .map(([version, share]) => `${version} ${formatPercent(share)}`)
    .join(", ");
}

/**
 * Weights that give one version its share and leave the others the rest in their present proportion (in equal parts
 * where none has weight). Throws `E_SHARE` where whole weights from 0 to 256 cannot come within 0.2 points.
 */
export function weightsForShare(present: Weights, version: string, share: Percent): Weights {
  const others = Object.keys(present).filter((each) => each !== version);
  const otherTotal = others.reduce((sum, each) => sum + (present[each] ?? 0), 0);
  const parts = Object.keys(present).map((each) => ({
    version: each,
    share:
      each === version
        ? share
        : (100 - share) * (otherTotal === 0 ? 1 / others.length : (present[each] ?? 0) / otherTotal),
  }));
  const best = closest(parts);
  if (best === undefined || best.error > tolerance) {
    throw new UsageError(
      "E_SHARE",
      `Whole weights up to ${maximumWeight} cannot give ${version} ${formatPercent(share)}`,
      {
        hint: "beside one other version choose a share from 0.4% to 99.6%, or 0% or 100%",
      },
    );
  }
  return best.weights;
}

interface Part {
  readonly version: string;
  readonly share: number;
}

/** The split with the smallest error; among equals one that adds up to 100, then the smallest numbers. */
function closest(parts: readonly Part[]): { weights: Weights; error: number } | undefined {
  let best: { weights: Weights; error: number } | undefined;
  const largest = Math.max(...parts.map((part) => part.share));
  const limit = Math.floor((100 * (maximumWeight + 1)) / largest);
  const totals = [100, ...Array.from({ length: limit }, (_, index) => index + 1)];
  for (const total of totals) {
    const weights = Object.fromEntries(
      parts.map((part) => [
        part.version,
        part.share === 0 ? 0 : Math.max(1, Math.round((total * part.share) / 100)),
      ]),
    );
    if (Object.values(weights).some((weight) => weight > maximumWeight)) continue;
    const given = sharesOf(weights);
    const error = Math.max(...parts.map((part) => Math.abs((given[part.version] ?? 0) - part.share)));
    if (best === undefined || error < best.error - 1e-9) best = { weights, error };
  }
  return best;
}
