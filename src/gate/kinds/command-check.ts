import { z } from "zod";
import { OpsError } from "../../core/errors.ts";
import { redact } from "../../core/redaction.ts";
import { duration } from "../../core/schema.ts";
import { parseThreshold, type Threshold } from "../../core/threshold.ts";
import { type CheckLimits, defineCheck, type Judgement, type Measurement } from "../../run/check.ts";
import { runDeclared } from "../../run/declared-program.ts";
import { hasLimits, judgeByLimits, needsDuration } from "../../run/limits.ts";

type CommandEvidence = { readonly exitCode: number; readonly lastLine: string; readonly complaint: string };

export const commandCheck = defineCheck({
  kind: "command",
  summary: "A program's exit code, or the number on the last line of its output where a limit is given",
  input: z.strictObject({
    command: z
      .array(z.string())
      .min(1, "needs a program")
      .describe("The program and its arguments, as a list; no shell reads them"),
    cwd: z.string().optional().describe("Folder it runs in, relative to the configuration file"),
    timeout: duration("How long it may run").prefault("30s"),
  }),
  measure: async (context, input): Promise<Measurement> => {
    const result = await runDeclared(context, input);
    const lastLine = last(result.stdout);
    const evidence: CommandEvidence = {
      exitCode: result.exitCode,
      lastLine,
      complaint: last(result.stderr),
    };
    const value = parseNumber(lastLine)?.value ?? lastLine;
    return { value, shown: lastLine, evidence, rawDigest: result.outputDigest };
  },
  judge: ({ evidence }, input, limits) => judge(evidence as CommandEvidence, input.command[0] ?? "", limits),
});

function last(output: string): string {
  return redact(output.trimEnd().split("\n").at(-1)?.trim() ?? "").slice(0, 500);
}

function judge(evidence: CommandEvidence, program: string, limits: CheckLimits): Judgement {
  const { exitCode, lastLine, complaint } = evidence;
  if (exitCode !== 0) {
    const said = complaint || lastLine;
    return {
      status: "fail",
      reason: `${program} ended with exit code ${exitCode}${said ? `: ${said}` : ""}`,
    };
  }
  if (!hasLimits(limits)) {
    return { status: "pass", reason: `${program} ended with exit code 0${lastLine ? `: ${lastLine}` : ""}` };
  }
  const number = parseNumber(lastLine);
  if (number === undefined) {
    return { status: "unknown", reason: `the last line of output is no number: ${JSON.stringify(lastLine)}` };
  }
  const units = [limits.fail?.unit, limits.warn?.unit].filter((each) => each !== undefined);
  const fits = units.every(
    (unit) => unit === number.unit || (number.unit === "number" && unit !== "duration"),
  );
  if (!fits) {
    const wish = needsDuration(limits) ? 'print a duration: "12s"' : "print it in the unit of the limit";
    return {
      status: "unknown",
      reason: `the output ${lastLine} and its limit have different units: ${wish}`,
    };
  }
  return judgeByLimits(number.value, lastLine, limits);
}

/** `12`, `12%`, `12s`, `3GiB`: what may stand to the right of a limit's sign. */
function parseNumber(text: string): Pick<Threshold, "value" | "unit"> | undefined {
  try {
    return parseThreshold(`== ${text}`);
  } catch (error) {
    if (error instanceof OpsError) return undefined;
    throw error;
  }
}
