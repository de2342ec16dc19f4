import type { FlagDefinition, Rule, Scalar } from "./definition.ts";
import { turnedOff } from "./off.ts";

/** A flag of the first form: a switch and a share of the users. */
export interface SimpleFlag {
  readonly enabled: boolean;
  /** Percent of users, 0–100, two decimals. */
  readonly rollout: number;
  readonly description: string | null;
}

/** The same in flagd's format. Its users are others than before: flagd has a hash of its own (docs/decisions/0071). */
export function simpleFlag({ enabled, rollout, description }: SimpleFlag): FlagDefinition {
  const metadata: Record<string, Scalar> = description === null ? {} : { description };
  const definition = booleanFlag(rollout, metadata);
  return enabled ? definition : turnedOff(definition);
}

/** On for a share of the users, 0–100 with at most two decimals. */
export function booleanFlag(percent: number, metadata: Readonly<Record<string, Scalar>>): FlagDefinition {
  const share = shareOf("on", percent, "off");
  return {
    state: "ENABLED",
    variants: { on: true, off: false },
    defaultVariant: share === "on" ? "on" : "off",
    ...(typeof share === "object" && { targeting: share }),
    ...(Object.keys(metadata).length > 0 && { metadata: { ...metadata } }),
  };
}

/**
 * The rule that gives one variant to a share of the users and another to the rest; a plain variant for nobody and
 * everybody. The one that grows stands first: then raising its share keeps every user that has it.
 *
 * @param percent 0–100, at most two decimals; the weights are whole, of 100 or of 10,000
 */
export function shareOf(variant: string, percent: number, other: string): Rule {
  if (percent <= 0) return other;
  if (percent >= 100) return variant;
  const whole = Number.isInteger(percent) ? 100 : 10_000;
  const weight = Math.round((percent * whole) / 100);
  return {
    fractional: [
      [variant, weight],
      [other, whole - weight],
    ],
  };
}
