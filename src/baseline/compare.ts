import { z } from "zod";
import { ExitCode, OpsError } from "../core/errors.ts";
import { name } from "../core/schema.ts";
import { defineOperation } from "../run/operation.ts";
import { compareWithBaseline, comparisonSchema, renderComparison } from "./comparison.ts";

export const limitsInput = z
  .array(z.string())
  .optional()
  .describe(
    "What may change: 'p95 increase < 100ms' 'memory increase < 5%' 'error-rate +1%' 'start-up < 5s'; default: those of .opsrc",
  );

export const fromInput = z
  .string()
  .min(1)
  .optional()
  .describe(
    "load:NAME (its newest result), or a baseline of .opsrc whose measures are taken; default: its own",
  );

export const compare = defineOperation({
  name: "baseline.compare",
  summary: "Measure again and say whether it is worse than the baseline allows",
  example: "baseline compare checkout --limit 'p95 increase < 100ms' 'error-rate +1%'",
  effect: "read",
  input: z.strictObject({
    baseline: name("The baseline's name"),
    from: fromInput,
    limit: limitsInput,
  }),
  positional: ["baseline"],
  output: comparisonSchema,
  observe: async () => null,
  plan: () => [],
  apply: (context, { baseline, from, limit }, _before, report) =>
    compareWithBaseline(context, baseline, { from, limits: limit }, (done, total, sample) =>
      report.progress({ message: `measuring: ${done} of ${total}`, done, total, sample }),
    ),
  failure: (output) => {
    if (output.verdict === "pass") return undefined;
    const named = output.limits
      .filter(({ status }) => status !== "pass")
      .map(
        ({ limit, status, reason }) =>
          `${limit} ${status === "fail" ? "is missed" : "is not known to hold"} (${reason})`,
      );
    return new OpsError("E_BASELINE_WORSE", `Against the baseline ${output.baseline}: ${named.join("; ")}`, {
      exitCode: ExitCode.noGo,
      retryable: false,
      hint: `mend what has become worse, or record what it is now: ops baseline record ${output.baseline} --replace`,
      details: output,
    });
  },
  render: renderComparison,
});
