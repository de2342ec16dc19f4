import { z } from "zod";
import { name } from "../core/schema.ts";
import { suggestion } from "../core/suggestion.ts";
import { type Severity, severities } from "../notifier/message.ts";

/** What can be told, and how severe it is. */
export const noticeEvents = {
  "run.started": { severity: "info", summary: "a run begins" },
  "run.resumed": { severity: "info", summary: "a run that stopped goes on" },
  "run.waiting": { severity: "warning", summary: "a run waits for a person: an approval, a promotion" },
  "run.done": { severity: "info", summary: "a run came to its end" },
  "run.failed": { severity: "error", summary: "a run failed and stays as it is" },
  "run.interrupted": { severity: "warning", summary: "a run was stopped, or its process is gone" },
  "run.rolling-back": { severity: "warning", summary: "a run is being taken back" },
  "run.rolled-back": { severity: "error", summary: "a run was taken back; asked for by a person: info" },
  "run.needs-person": { severity: "critical", summary: "a roll-back could not go on" },
  "step.failed": { severity: "error", summary: "a step failed for good" },
  "step.retried": { severity: "warning", summary: "a step failed and will be tried again" },
  "gate.go": { severity: "info", summary: "a gate of a run said go" },
  "gate.no-go": { severity: "error", summary: "a gate of a run said no-go" },
  "watch.triggered": { severity: "error", summary: "a watch after a release saw what it watches for" },
  "backup.overdue": { severity: "error", summary: "a run of backup.status found a backup overdue" },
  "schedule.failed": { severity: "error", summary: "a scheduled run failed" },
  "schedule.silent": { severity: "error", summary: "a schedule had no success for too long" },
  "schedule.recovered": { severity: "info", summary: "a schedule is well again" },
} as const satisfies Record<string, { readonly severity: Severity; readonly summary: string }>;

export type NoticeEvent = keyof typeof noticeEvents;
export const eventNames = Object.keys(noticeEvents) as NoticeEvent[];

/** `run.*`, `*`, or a name. */
export function matches(pattern: string, text: string): boolean {
  const expression = pattern.split("*").map(RegExp.escape).join(".*");
  return new RegExp(`^${expression}$`).test(text);
}

const event = z.string().superRefine((pattern, context) => {
  if (eventNames.some((each) => matches(pattern, each))) return;
  context.addIssue({
    code: "custom",
    message: `there is no event "${pattern}"`,
    params: { hint: suggestion(pattern, eventNames) },
  });
});
const pattern = z.string().min(1, "must not be empty");

/** Who is told of what. */
export const notifyRuleSchema = z.strictObject({
  events: z
    .array(event)
    .min(1, "needs at least one event")
    .describe("Names of events; * stands for any: run.*"),
  to: z.array(name("A notification")).min(1, "needs at least one notification").describe("Who is told"),
  severity: z.enum(severities).default("info").describe("Only what is at least so severe"),
  environments: z.array(pattern).optional().describe("Only in these environments; * stands for any"),
  runbooks: z.array(pattern).optional().describe("Only of these runbooks, by their names"),
  operations: z.array(pattern).optional().describe("Only of these operations: migrate.*"),
  title: z.string().min(1, "must not be empty").optional().describe("Another title; ${{ }} as in runbooks"),
  text: z.string().min(1, "must not be empty").optional().describe("Another text; ${{ }} as in runbooks"),
  required: z
    .boolean()
    .default(false)
    .describe("A run does not begin where nobody could be told that it starts"),
});
