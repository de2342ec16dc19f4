import type { z } from "zod";
import type { GateSettings } from "../config/gate-file.ts";
import type { CheckSettings } from "../config/schema.ts";
import { canonicalJson, digest } from "../core/digest.ts";
import { type Json, UsageError } from "../core/errors.ts";
import { suggestion } from "../core/suggestion.ts";
import type { Threshold } from "../core/threshold.ts";
import type { Check, CheckLimits } from "./check.ts";

/** A check as a gate configures it, ready to be measured. */
export interface ConfiguredCheck {
  readonly gate: string;
  readonly id: string;
  readonly check: Check;
  /** Validated by the check's own schema. */
  readonly input: z.output<z.ZodObject>;
  readonly limits: CheckLimits;
  /** What it counts as where it cannot be measured. */
  readonly unknown: "fail" | "warn" | "pass";
  /** False: where it would stop the gate it warns. */
  readonly required: boolean;
  /** Milliseconds that measuring may take; undefined: what the kind or the gate says. */
  readonly timeout: number | undefined;
  /** Milliseconds that a result is used again for; undefined: measured anew. */
  readonly freshFor: number | undefined;
  /** Of what decides over the result: kind, input and limits as they are written. */
  readonly digest: string;
  readonly why: string | undefined;
  /** What to do where it fails. */
  readonly remedy: string | undefined;
}

type Mistake = {
  readonly check: string;
  /** Where in the check: `kind`, `with.query`. */
  readonly key: string;
  readonly message: string;
  readonly hint?: string;
};

/**
 * Every check of a gate with its kind looked up and its `with` validated, before anything is measured.
 * Throws `E_GATE_INVALID` with all mistakes at once.
 */
export function configuredChecks(
  gate: string,
  settings: GateSettings,
  kinds: ReadonlyMap<string, Check>,
): ConfiguredCheck[] {
  const mistakes: Mistake[] = [];
  const configured: ConfiguredCheck[] = [];
  const ids = new Set<string>();
  for (const each of settings.checks) {
    if (ids.has(each.id)) {
      mistakes.push({ check: each.id, key: "id", message: "the name is used twice in this gate" });
    }
    ids.add(each.id);
    const check = kinds.get(each.kind);
    if (check === undefined) {
      const message = `unknown kind "${each.kind}"`;
      mistakes.push({ check: each.id, key: "kind", message, hint: suggestion(each.kind, kinds.keys()) });
      continue;
    }
    const input = check.input.safeParse(each.with, { reportInput: true });
    mistakes.push(...limitMistakes(each, check, input.data));
    if (each["fresh-for"] !== undefined && check.neverKept === true) {
      const message = `a check of kind ${check.kind} is always measured`;
      mistakes.push({ check: each.id, key: "fresh-for", message });
    }
    if (!input.success) {
      mistakes.push(...input.error.issues.flatMap((issue) => inputMistakes(each.id, check, issue)));
      continue;
    }
    configured.push({
      gate,
      id: each.id,
      check,
      input: input.data,
      limits: { fail: each.fail, warn: each.warn },
      unknown: each.unknown ?? settings.unknown,
      required: each.required,
      timeout: each.timeout,
      freshFor: each["fresh-for"],
      digest: measuredDigest(each),
      why: each.why ?? check.why,
      remedy: each.remedy ?? check.remedy,
    });
  }
  if (mistakes.length > 0) throw invalid(gate, mistakes);
  return configured;
}

/** SHA-256 of a gate as it is configured. */
export function gateDigest(settings: GateSettings): string {
  return digest(canonicalJson(JSON.parse(JSON.stringify(settings)) as Json));
}

function measuredDigest({ kind, with: input, fail, warn }: CheckSettings): string {
  return digest(
    canonicalJson({ kind, with: input as Json, fail: fail?.text.trim(), warn: warn?.text.trim() }),
  );
}

/** The units that limits of a check may have; undefined: any. */
export function unitsOf(
  { limitUnits: units }: Check,
  input: z.output<z.ZodObject> | undefined,
): readonly Threshold["unit"][] | undefined {
  if (typeof units !== "function") return units;
  return input === undefined ? undefined : units(input);
}

/** @param input undefined where it has mistakes itself: then nothing is known of units that depend on it */
function limitMistakes(
  settings: CheckSettings,
  check: Check,
  input: z.output<z.ZodObject> | undefined,
): Mistake[] {
  const { fail, warn } = settings;
  if (fail !== undefined && warn !== undefined && fail.unit !== warn.unit) {
    const message = `the limits "${fail.text}" and "${warn.text}" have different units`;
    return [{ check: settings.id, key: "warn", message }];
  }
  const allowed = unitsOf(check, input);
  if (allowed === undefined) return [];
  return (["fail", "warn"] as const).flatMap((key) => {
    const limit = settings[key];
    if (limit === undefined || allowed.includes(limit.unit)) return [];
    if (allowed.length === 0) {
      const message = `a check of kind ${check.kind} has nothing that a limit could be for`;
      return [{ check: settings.id, key, message, hint: "leave it out" }];
    }
    const message = `the limit "${limit.text}" has the wrong unit for a check of kind ${check.kind}`;
    const hint =
      allowed.length === 0
        ? `leave it out: it has limits of its own under "with:"`
        : `write ${allowed.map(exampleLimit).join(" or ")}`;
    return [{ check: settings.id, key, message, hint }];
  });
}

function exampleLimit(unit: Threshold["unit"]): string {
  return { percent: '"> 5%"', duration: '"> 500ms"', bytes: '"< 5GiB"', number: '"> 3"' }[unit];
}

function inputMistakes(id: string, check: Check, issue: z.core.$ZodIssue): Mistake[] {
  const path = ["with", ...issue.path.map(String)];
  const key = path.join(".");
  if (issue.code === "unrecognized_keys") {
    const known = issue.path.length === 0 ? Object.keys(check.input.shape) : [];
    return issue.keys.map((unknown) => ({
      check: id,
      key: [...path, unknown].join("."),
      message: `unknown key "${unknown}"`,
      ...(known.length === 0 ? {} : { hint: suggestion(unknown, known) }),
    }));
  }
  const missing = "input" in issue && issue.input === undefined && issue.code !== "custom";
  if (missing) return [{ check: id, key, message: `missing key "${path.at(-1)}"` }];
  const hint = issue.code === "custom" ? issue.params?.hint : undefined;
  return [{ check: id, key, message: issue.message, ...(typeof hint === "string" ? { hint } : {}) }];
}

function invalid(gate: string, mistakes: readonly Mistake[]): UsageError {
  const details: Json = mistakes.map((each) => ({ gate, ...each }));
  const [first] = mistakes;
  if (mistakes.length === 1 && first !== undefined) {
    return new UsageError(
      "E_GATE_INVALID",
      `Gate ${gate}, check ${first.check}, ${first.key}: ${first.message}`,
      {
        details,
        ...(first.hint === undefined ? {} : { hint: first.hint }),
      },
    );
  }
  const lines = mistakes.map(
    (each) => `  check ${each.check}, ${each.key}: ${each.message}${each.hint ? ` (${each.hint})` : ""}`,
  );
  return new UsageError("E_GATE_INVALID", `Gate ${gate} has ${lines.length} mistakes:\n${lines.join("\n")}`, {
    hint: `mend them under "gates: ${gate}:" in .opsrc`,
    details,
  });
}
