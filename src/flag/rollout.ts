import { UsageError } from "../core/errors.ts";
import {
  type FlagDefinition,
  offVariant,
  onVariant,
  operatorOf,
  type Rule,
} from "../flag-source/definition.ts";
import { shareOf } from "../flag-source/simple-flag.ts";
import { layersOf, withLayers } from "./layers.ts";

/** A share of the users who get a variant, the rest another one. */
export interface Rollout {
  readonly variant: string;
  /** 0–100. */
  readonly percent: number;
  readonly other: string;
  /** Set where the other variant has the lower buckets, as somebody wrote it by hand: a share that grows must stay behind it. */
  readonly isLast?: true;
}

/** A rule as a share of the "on" variant: of a plain variant all or none; undefined where it is something else. */
export function rolloutOfRule(definition: FlagDefinition, rule: Rule): Rollout | undefined {
  const [on, off] = [onVariant(definition), offVariant(definition)];
  if (typeof rule === "string") {
    if (rule === off) return { variant: on ?? rule, percent: 0, other: rule };
    return rule === on && off !== undefined ? { variant: on, percent: 100, other: off } : undefined;
  }
  const [operator, shares = []] = operatorOf(rule) ?? [];
  if (operator !== "fractional" || shares.length !== 2) return undefined;
  const [first, second] = shares.map(weighted);
  if (first === undefined || second === undefined || first.weight + second.weight === 0) return undefined;
  const isTurned = first.variant === off && second.variant !== off;
  const [given, rest] = isTurned ? [second, first] : [first, second];
  const percent = (100 * given.weight) / (given.weight + rest.weight);
  return {
    variant: given.variant,
    percent: Number(percent.toFixed(6)),
    other: rest.variant,
    ...(isTurned && { isLast: true as const }),
  };
}

function weighted(share: Rule): { variant: string; weight: number } | undefined {
  if (!Array.isArray(share)) return undefined;
  const [variant, weight = 1] = share;
  return typeof variant === "string" && typeof weight === "number" ? { variant, weight } : undefined;
}

/** What everybody who is on no list gets; undefined where rules of one's own decide. */
export function rolloutOf(definition: FlagDefinition): Rollout | undefined {
  const { rules, rest } = layersOf(definition);
  return rules.length > 0 ? undefined : rolloutOfRule(definition, rest);
}

export interface RolloutChange {
  readonly percent: number;
  /** Default: the "on" variant. */
  readonly variant?: string | undefined;
  /** Times before it no longer count. */
  readonly now: Date;
}

/**
 * Gives a variant to a share of those on whom no list and no rule decides. Lists, prerequisites, rules and times to come
 * stay. Raising a share keeps everybody who is in it: flagd scales one hash of flag and targeting key.
 */
export function withRollout(flag: string, definition: FlagDefinition, change: RolloutChange): FlagDefinition {
  const share = shareFor(flag, definition, change);
  const layers = layersOf(definition);
  const isOwn =
    layers.rest !== null &&
    typeof layers.rest === "object" &&
    rolloutOfRule(definition, layers.rest) === undefined;
  if (isOwn) {
    throw new UsageError(
      "E_FLAG_TARGETING",
      `What the rest of the users get of ${flag} is decided by a rule of your own`,
      {
        hint: `look at it with ops flag get ${flag}, and write a new one with ops flag set ${flag} --targeting`,
      },
    );
  }
  const times = layers.times.filter(([from]) => from * 1000 > change.now.getTime());
  // Who has no targeting key is in no share: the default counts, which then must not be the variant itself.
  return withLayers({ ...definition, defaultVariant: share.other }, { ...layers, times, rest: share.rule });
}

/** The rule of a share of a flag, and the variant of the others. Throws `E_FLAG_TARGETING` where the variant is not plain. */
export function shareFor(
  flag: string,
  definition: FlagDefinition,
  { percent, variant }: Pick<RolloutChange, "percent" | "variant">,
): { readonly rule: Rule; readonly other: string } {
  const off = offVariant(definition);
  const present = rolloutOf(definition);
  const given = present?.variant;
  const wanted = variant ?? (given === off ? undefined : given) ?? onVariant(definition);
  const names = Object.keys(definition.variants);
  if (wanted === undefined || !names.includes(wanted)) {
    throw new UsageError(
      "E_FLAG_TARGETING",
      wanted === undefined
        ? `Flag ${flag} has several variants: a share of which one?`
        : `Flag ${flag} has no variant "${wanted}"`,
      { hint: `add --variant, one of: ${names.join(", ")}` },
    );
  }
  const other = off === wanted || off === undefined ? (definition.defaultVariant ?? wanted) : off;
  const rule = shareOf(wanted, percent, other);
  const isLast = present?.isLast === true && given === wanted;
  return { rule: isLast ? turned(rule) : rule, other };
}

/** The shares the other way round: who has the last buckets keeps them. */
function turned(rule: Rule): Rule {
  const [operator, shares] = operatorOf(rule) ?? [];
  return operator === "fractional" && shares !== undefined ? { fractional: shares.toReversed() } : rule;
}
