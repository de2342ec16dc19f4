import { z } from "zod";
import type { Environment } from "../config/environment.ts";
import { columns } from "../core/columns.ts";
import { formatDuration } from "../core/duration.ts";
import { OpsError } from "../core/errors.ts";
import { activeOverrides, overridesIn } from "../run/gate-override.ts";
import { defineOperation } from "../run/operation.ts";
import { newestVerdicts } from "../run/verdict-history.ts";

const lastVerdict = z
  .object({
    verdict: z.enum(["go", "no-go"]),
    at: z.string(),
    ageMs: z.number(),
    run: z.string().optional(),
  })
  .nullable()
  .describe("null where it was never checked on this machine");

export const list = defineOperation({
  name: "gate.list",
  summary: "All gates, and what each said last",
  example: "gate list",
  effect: "read",
  input: z.strictObject({}),
  output: z.object({
    gates: z.array(
      z.object({
        gate: z.string(),
        checks: z.number().nullable().describe("How many it has; null where it cannot be read"),
        problem: z.string().optional().describe("Why it cannot be read"),
        overridden: z.array(z.string()).describe("Checks that are overridden now"),
        last: lastVerdict,
      }),
    ),
  }),
  observe: async () => null,
  plan: () => [],
  apply: async ({ environment, stateDirectory, clock }) => {
    const now = clock.now();
    const gates = environment.names("gates").map((gate) => {
      const [last] = newestVerdicts(stateDirectory, environment.name, gate);
      const overrides = overridesIn(stateDirectory, { environment: environment.name, gate });
      return {
        gate,
        ...checksOf(environment, gate),
        overridden: [...activeOverrides(overrides, now).keys()].sort(),
        last:
          last === undefined
            ? null
            : {
                verdict: last.verdict,
                at: last.endedAt,
                ageMs: Math.max(0, now.getTime() - Date.parse(last.endedAt)),
                ...(last.run === undefined ? {} : { run: last.run }),
              },
      };
    });
    return { gates };
  },
  render: ({ gates }) => {
    if (gates.length === 0) return "no gates: write one under gates: in .opsrc";
    const rows = gates.map(({ gate, checks, problem, overridden, last }) => [
      gate,
      checks === null ? "-" : String(checks),
      last === null ? "never checked" : `${last.verdict}, ${formatDuration(last.ageMs)} ago`,
      overridden.join(", "),
      problem ?? last?.run ?? "",
    ]);
    return columns([["GATE", "CHECKS", "LAST", "OVERRIDDEN", "RUN"], ...rows], new Set([1])).join("\n");
  },
});

/** One gate whose file is broken does not hide the others. */
function checksOf(environment: Environment, gate: string): { checks: number | null; problem?: string } {
  try {
    return { checks: environment.gate(gate).checks.length };
  } catch (error) {
    if (!(error instanceof OpsError)) throw error;
    return { checks: null, problem: error.message.split("\n")[0] ?? error.message };
  }
}
