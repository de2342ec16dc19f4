import { z } from "zod";
import { OpsError } from "../core/errors.ts";
import { visibleLine } from "../core/visible.ts";
import { differences } from "../flag-source/differences.ts";
import type { FlagSet } from "../flag-source/flag-set.ts";
import { type Finding, findings } from "../flag-source/lint.ts";
import { withPrerequisites } from "../flag-source/prerequisites.ts";
import { defineOperation } from "../run/operation.ts";
import { layersOf } from "./layers.ts";
import { place, withPlace } from "./place.ts";
import { isoSeconds } from "./shown.ts";
import { source } from "./source.ts";

export const lint = defineOperation({
  name: "flag.lint",
  summary: "Find flags that are wrong, expired or nobody's",
  example: "flag lint",
  effect: "read",
  input: z.strictObject({
    file: place("A file in flagd's format, instead of a source").optional(),
    strict: z.boolean().describe("Fail for warnings too").default(false),
    source,
  }),
  positional: ["file"],
  output: z.object({
    flags: z.number().describe("How many there are"),
    errors: z.number(),
    warnings: z.number(),
    strict: z.boolean(),
    findings: z.array(
      z.object({
        severity: z.enum(["error", "warning"]).describe("An error is never stored by ops"),
        subject: z.enum(["flag", "segment"]),
        name: z.string(),
        rule: z.string().describe("Which rule of lint"),
        message: z.string(),
        hint: z.string().optional(),
      }),
    ),
  }),
  observe: async () => null,
  plan: () => [],
  apply: async (context, { file, strict, source }) => {
    const [set, written] = await withPlace(
      context,
      file ?? source,
      file !== undefined,
      async (opened) => [await opened.read(), await opened.writtenFindings()] as const,
    );
    const now = context.clock.now();
    const found = [...findings(set, { now }), ...written, ...passed(set, now), ...outdated(set)];
    const count = (severity: Finding["severity"]) =>
      found.filter((each) => each.severity === severity).length;
    return {
      flags: set.flags.size + (set.unreadable?.size ?? 0),
      errors: count("error"),
      warnings: count("warning"),
      strict,
      findings: found,
    };
  },
  failure: ({ errors, warnings, strict }) => {
    const count = errors + (strict ? warnings : 0);
    if (count === 0) return undefined;
    return new OpsError("E_LINT", `${count} ${count === 1 ? "finding" : "findings"} must be mended`, {
      hint: "each finding says how",
      retryable: false,
    });
  },
  render: ({ flags, errors, warnings, findings: found }) =>
    [
      ...found.map(
        ({ severity, subject, name, message, hint }) =>
          `${severity === "error" ? "✖" : "!"} ${visibleLine(`${subject} ${name}: ${message}`)}${hint === undefined ? "" : `\n    → ${visibleLine(hint)}`}`,
      ),
      `${flags} ${flags === 1 ? "flag" : "flags"}, ${errors} ${errors === 1 ? "error" : "errors"}, ${warnings} ${warnings === 1 ? "warning" : "warnings"}`,
    ].join("\n"),
});

/** Times that have passed: what they brought counts, and they only make the rules longer. */
function passed(set: FlagSet, now: Date): Finding[] {
  return [...set.flags].flatMap(([name, { definition }]) => {
    const past = layersOf(definition).times.filter(([from]) => from * 1000 <= now.getTime());
    return past.map(([from]) => ({
      severity: "warning" as const,
      subject: "flag" as const,
      name,
      rule: "time-passed",
      message: `has a scheduled change that has happened, at ${isoSeconds(from)}`,
      hint: `ops flag schedule ${name} --clear --at ${isoSeconds(from)}`,
    }));
  });
}

/** Shared rules of prerequisites that are not what their flag says: somebody changed the flag by hand. */
function outdated(set: FlagSet): Finding[] {
  return differences(set, withPrerequisites(set)).map(({ name }) => ({
    severity: "error",
    subject: "segment",
    name,
    rule: "prerequisite",
    message: "is not what its flag says: the flag was changed by hand",
    hint: "the next change by ops writes it again",
  }));
}
