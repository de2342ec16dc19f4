import type { z } from "zod";
import type { Json } from "../core/errors.ts";
import type { Threshold } from "../core/threshold.ts";
import type { OperationContext } from "./context.ts";

export type CheckStatus = "pass" | "warn" | "fail" | "unknown";

/** What was seen. `value` is what thresholds are compared with; `evidence` goes to the journal beside it. */
export interface Measurement {
  /** Percent in 0–100, durations in milliseconds, sizes in bytes. */
  readonly value: number | string | boolean | null;
  /** The value for a person: `3m 05s`, `HTTP 200`. */
  readonly shown: string;
  readonly evidence?: Json;
  /**
   * What was read as it came: a body, a program's output, rows. It is not kept; its digest is, so that a copy that
   * somebody saved can be held against it.
   */
  readonly raw?: string | Uint8Array;
  /** In the place of `raw`, where its bytes are gone: their digest. */
  readonly rawDigest?: string;
}

export interface Judgement {
  readonly status: CheckStatus;
  /** One clause with the numbers: `backup is 3h old, limit > 24h`. */
  readonly reason: string;
}

/** Which check of a gate is measured; operations that use a kind of check by itself have none. */
export interface CheckPlace {
  readonly gate: string;
  /** The check's `id` in the gate. */
  readonly check: string;
}

export interface CheckLimits {
  readonly fail?: Threshold | undefined;
  readonly warn?: Threshold | undefined;
}

export type LimitUnits = readonly Threshold["unit"][];

/** One kind of check, contributed by the capability that knows the answer. */
export interface CheckDefinition<I extends z.ZodObject> {
  /** `kind:` in a gate: `sql`, `backup-age`. */
  readonly kind: string;
  readonly summary: string;
  /** Why it matters, and what to do where it fails: one sentence each, where the gate says none of its own. */
  readonly why?: string;
  readonly remedy?: string;
  readonly input: I;
  /** True where what counts may change at any moment (a person's answer): a gate may not keep it with `fresh-for`. */
  readonly neverKept?: true;
  /**
   * The units that a limit for this kind may have, by its input where that decides; a gate with another one is refused.
   * Default: any.
   */
  readonly limitUnits?: LimitUnits | ((input: z.output<I>) => LimitUnits);
  /**
   * Milliseconds that `measure` may take at most where an input `timeout` is not about all of it (that of each of several
   * requests). Default: the input's `timeout`, or what is usual.
   */
  patience?(input: z.output<I>): number;
  /** Throwing means the fact could not be measured: the check is `unknown` with the error as its reason. */
  measure(context: OperationContext, input: z.output<I>, place?: CheckPlace): Promise<Measurement>;
  /** Pure. */
  judge(measurement: Measurement, input: z.output<I>, limits: CheckLimits): Judgement;
}

export type Check = CheckDefinition<z.ZodObject>;

export function defineCheck<I extends z.ZodObject>(definition: CheckDefinition<I>): Check {
  return definition as unknown as Check;
}
