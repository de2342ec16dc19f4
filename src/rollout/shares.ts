import { UsageError } from "../core/errors.ts";
import { formatPercent, type Percent } from "../core/percent.ts";

/** Version → weight, an absolute whole number on the driver's scale. */
export type Weights = { [version: string]: number };

/** Which weights a balancer takes. */
export type WeightScale = {
  /** The largest weight of one version. */
  maximum: number;
  /** What the weights add up to, where a balancer wants parts of a fixed whole (100: percent). */
  total?: number;
};

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
 * where none has weight). Throws `E_SHARE` where whole weights on this scale cannot come within 0.2 points.
 */
export function weightsForShare(
  present: Weights,
  version: string,
  share: Percent,
  scale: WeightScale,
): Weights {
  const others = Object.keys(present).filter((each) => each !== version);
  const otherTotal = others.reduce((sum, each) => sum + (present[each] ?? 0), 0);
  const parts = Object.keys(present).map((each) => ({
    version: each,
    share:
      each === version
        ? share
        : (100 - share) * (otherTotal === 0 ? 1 / others.length : (present[each] ?? 0) / otherTotal),
  }));
  const best =
    scale.total === undefined ? closest(parts, scale.maximum) : divided(parts, version, scale.total);
  if (best === undefined || best.error > tolerance) {
    const finest = 100 / (scale.total ?? scale.maximum + 1);
    const [least, most] = [finest, 100 - finest].map((each) => formatPercent(each));
    const weights = scale.total === undefined ? `up to ${scale.maximum}` : `of ${scale.total} in all`;
    throw new UsageError(
      "E_SHARE",
      `Whole weights ${weights} cannot give ${version} ${formatPercent(share)}`,
      {
        hint: `beside one other version choose a share from ${least} to ${most}, or 0% or 100%`,
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
function closest(parts: readonly Part[], maximum: number): { weights: Weights; error: number } | undefined {
  let best: { weights: Weights; error: number } | undefined;
  const largest = Math.max(...parts.map((part) => part.share));
  const limit = Math.floor((100 * (maximum + 1)) / largest);
  const totals = [100, ...Array.from({ length: limit }, (_, index) => index + 1)];
  for (const total of totals) {
    const weights = Object.fromEntries(
      parts.map((part) => [
        part.version,
        part.share === 0 ? 0 : Math.max(1, Math.round((total * part.share) / 100)),
      ]),
    );
    if (Object.values(weights).some((weight) => weight > maximum)) continue;
    const error = errorOf(weights, parts);
    if (best === undefined || error < best.error - 1e-9) best = { weights, error };
  }
  return best;
}

/**
 * Parts of a fixed whole: the named version gets its share, the others divide the rest by largest remainder. Nobody
 * with a share goes without; undefined where that is impossible. The error is the named version's.
 */
function divided(
  parts: readonly Part[],
  version: string,
  total: number,
): { weights: Weights; error: number } | undefined {
  const named = parts.find((part) => part.version === version);
  const others = parts.filter((part) => part.version !== version && part.share > 0);
  if (named === undefined) return undefined;
  const own = Math.round((total * named.share) / 100);
  const weights: Weights = Object.fromEntries(parts.map((part) => [part.version, 0]));
  weights[version] = own;
  const rest = total - own;
  const sum = others.reduce((all, part) => all + part.share, 0);
  if (rest < others.length || (others.length === 0 && rest > 0)) return undefined;
  const shares = others.map((part) => ({ ...part, exact: (rest * part.share) / sum }));
  for (const part of shares) weights[part.version] = Math.max(1, Math.floor(part.exact + 1e-9));
  const missing = (part: (typeof shares)[number]) => part.exact - (weights[part.version] ?? 0);
  for (;;) {
    const left = rest - shares.reduce((all, part) => all + (weights[part.version] ?? 0), 0);
    if (left === 0) break;
    const able = left > 0 ? shares : shares.filter((part) => (weights[part.version] ?? 0) > 1);
    const next = able.reduce((x, y) => (Math.sign(left) * (missing(y) - missing(x)) > 1e-9 ? y : x));
    weights[next.version] = (weights[next.version] ?? 0) + Math.sign(left);
  }
  return { weights, error: Math.abs((100 * own) / total - named.share) };
}

function errorOf(weights: Weights, parts: readonly Part[]): number {
  const given = sharesOf(weights);
  return Math.max(...parts.map((part) => Math.abs((given[part.version] ?? 0) - part.share)));
}

export function sameWeights(a: Weights, b: Weights): boolean {
  return Object.keys({ ...a, ...b }).every((version) => (a[version] ?? 0) === (b[version] ?? 0));
}
