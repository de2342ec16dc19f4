import { OpsError } from "../core/errors.ts";

export type Labels = Readonly<Record<string, string>>;

/** One series of an instant vector. */
export interface Sample {
  readonly labels: Labels;
  /** May be NaN or infinite, which Prometheus knows as values. */
  readonly value: number;
}

/** What the server says beside its answer: a part of the data that is missing, an expression that it doubts. */
export type Warnings = readonly string[];

/** What an instant query came to: some series, none (an expression that matches nothing), or no answer. */
export type VectorOutcome =
  | {
      readonly kind: "samples";
      readonly samples: readonly Sample[];
      readonly warnings: Warnings;
    }
  | { readonly kind: "empty"; readonly warnings: Warnings }
  | { readonly kind: "error"; readonly error: OpsError };

/** One number, or one of the three ways in which there is none. None of them is zero. */
export type ValueOutcome =
  | { readonly kind: "value"; readonly value: number; readonly warnings: Warnings }
  /** No traffic divided by no traffic, for one. */
  | {
      readonly kind: "not-a-number";
      readonly text: "NaN" | "+Inf" | "-Inf";
      readonly warnings: Warnings;
    }
  | { readonly kind: "empty"; readonly warnings: Warnings }
  | { readonly kind: "error"; readonly error: OpsError };

/** The number of an expression that is meant to give one. Several series are an error: `E_PROMETHEUS_SERIES`. */
export function singleValue(expression: string, outcome: VectorOutcome): ValueOutcome {
  if (outcome.kind !== "samples") return outcome;
  const { samples, warnings } = outcome;
  const [first] = samples;
  if (first === undefined) return { kind: "empty", warnings };
  if (samples.length > 1) {
    const labels = samples.slice(0, 3).map((each) => formatLabels(each.labels));
    const rest = samples.length > 3 ? `, and ${samples.length - 3} more` : "";
    const error = new OpsError(
      "E_PROMETHEUS_SERIES",
      `The expression gives ${samples.length} series instead of one: ${labels.join(", ")}${rest}`,
      {
        hint: `join them: sum(${expression}), or name more labels`,
        details: { expression, series: samples.length },
        retryable: false,
      },
    );
    return { kind: "error", error };
  }
  return Number.isFinite(first.value)
    ? { kind: "value", value: first.value, warnings }
    : { kind: "not-a-number", text: notFinite(first.value), warnings };
}

export function notFinite(value: number): "NaN" | "+Inf" | "-Inf" {
  if (Number.isNaN(value)) return "NaN";
  return value > 0 ? "+Inf" : "-Inf";
}

/** `http_requests_total{code="200"}`, as Prometheus writes it. */
export function formatLabels({ __name__: name = "", ...labels }: Labels): string {
  const pairs = Object.entries(labels).map(([key, value]) => `${key}=${JSON.stringify(value)}`);
  return `${name}{${pairs.join(",")}}`;
}
