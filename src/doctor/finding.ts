import { causeText, OpsError } from "../core/errors.ts";
import { redact } from "../core/redaction.ts";

/** One thing that was looked at. */
export type Finding = {
  /** `node`, `database main`, `store local`. */
  subject: string;
  /** `missing` stands in the way of work; `warn` does not yet. */
  status: "ok" | "warn" | "missing";
  message: string;
  /** The command, or the change to the configuration, that mends it. */
  mend?: string;
};

export function ok(subject: string, message: string): Finding {
  return { subject, status: "ok", message: redact(message) };
}

export function warn(subject: string, message: string, mend: string): Finding {
  return { subject, status: "warn", message: redact(message), mend: redact(mend) };
}

export function missing(subject: string, message: string, mend?: string): Finding {
  return {
    subject,
    status: "missing",
    message: redact(message),
    ...(mend === undefined ? {} : { mend: redact(mend) }),
  };
}

/** An error as a finding, mended by the error's own hint unless that would send the reader back here. */
export function missingBecause(subject: string, error: unknown, mend: string): Finding {
  const message = error instanceof Error ? error.message : String(error);
  const cause = error instanceof Error ? causeText(error.cause) : undefined;
  const hint = error instanceof OpsError ? error.hint : undefined;
  return missing(
    subject,
    cause === undefined || message.includes(cause) ? message : `${message}: ${cause}`,
    hint === undefined || hint.includes("ops doctor") ? mend : hint,
  );
}

/** True where something that is needed is not there: the command ends with exit code 1. */
export function needsMending(findings: readonly Finding[]): boolean {
  return findings.some((each) => each.status === "missing");
}

const symbols = { ok: "✓", warn: "!", missing: "✗" } as const;

/** One line for each finding, and under it how to mend it. */
export function renderFindings(findings: readonly Finding[]): string {
  const width = Math.max(0, ...findings.map((each) => each.subject.length));
  const indent = " ".repeat(width + 4);
  const lines = findings.flatMap((each) => {
    const message = each.message.replaceAll("\n", `\n${indent}`);
    const line = `${symbols[each.status]} ${each.subject.padEnd(width)}  ${message}`;
    return each.mend === undefined ? [line] : [line, `${indent}mend it: ${each.mend}`];
  });
  const count = (status: Finding["status"]) => findings.filter((each) => each.status === status).length;
  return [...lines, `${count("ok")} ok, ${count("warn")} to look at, ${count("missing")} missing`].join("\n");
}
