import { z } from "zod";
import { duration, name } from "../core/schema.ts";
import { configuredChecks } from "../run/configured-check.ts";
import { type GateResult, noGo, renderCheck, renderGate } from "../run/gate-verdict.ts";
import { measureGate } from "../run/measure-gate.ts";
import { defineOperation } from "../run/operation.ts";
import { keepVerdict } from "../run/verdict-history.ts";
import { addStepSummary, githubReport } from "./formats/github.ts";
import { junitReport } from "./formats/junit.ts";
import { markdownReport } from "./formats/markdown.ts";
import { gateResultSchema } from "./result-schema.ts";

const formats = {
  junit: junitReport,
  markdown: markdownReport,
  github: githubReport,
} satisfies Record<string, (result: GateResult) => string>;
const formatNames = ["junit", "markdown", "github"] as const;

const input = z
  .strictObject({
    gate: name("The gate's name in .opsrc"),
    timeout: duration("How long a check without a timeout of its own may take").prefault("30s"),
    anew: z.boolean().default(false).describe("Measure everything, also where a result is still fresh"),
    junit: z.boolean().default(false).describe("Print JUnit XML"),
    markdown: z.boolean().default(false).describe("Print Markdown, for a comment on a pull request"),
    github: z
      .boolean()
      .default(false)
      .describe("Print annotations of GitHub Actions, and add the report to the step summary"),
  })
  .superRefine((given, context) => {
    const asked = formatNames.filter((each) => given[each]);
    if (asked.length < 2) return;
    const message = `is one format and --${asked[0]} another`;
    context.addIssue({ code: "custom", path: [asked[1] ?? ""], message, params: { hint: "name one" } });
  });

/** Measures when it runs, never when it plans: a gate of a resumed run measures again. */
export const check = defineOperation({
  name: "gate.check",
  summary: "Measure a gate's checks and say go or no-go",
  example: "gate check pre-deploy",
  effect: "read",
  journaled: true,
  input,
  positional: ["gate"],
  output: gateResultSchema,
  observe: async (context, { gate }) => {
    const configured = configuredChecks(gate, context.environment.gate(gate), await context.checks());
    return { checks: configured.map((each) => ({ id: each.id, kind: each.check.kind })) };
  },
  plan: () => [],
  apply: async (context, { gate, timeout, anew, github }, _before, report) => {
    const result = await measureGate(
      context,
      gate,
      timeout,
      (each, done, total) => report.progress({ message: firstLine(renderCheck(each)), done, total }),
      { anew },
    );
    keepVerdict(context.stateDirectory, result);
    const trouble = github ? await addStepSummary(result, process.env.GITHUB_STEP_SUMMARY) : undefined;
    if (trouble !== undefined) report.log(trouble);
    return result;
  },
  failure: (result) => (result.verdict === "go" ? undefined : noGo(result)),
  render: (result, screen, given) => {
    const format = formatNames.find((each) => given?.[each] === true);
    return format === undefined ? renderGate(result, screen?.color) : formats[format](result);
  },
});

function firstLine(text: string): string {
  return text.split("\n")[0] ?? text;
}
