import { type NoticeEvent, noticeEvents } from "../config/notify-schema.ts";
import { formatDuration } from "../core/duration.ts";
import type { ErrorRecord, Json } from "../core/errors.ts";
import type { Message, Severity } from "../notifier/message.ts";
import type { JournalEntry } from "../run/events.ts";
import type { RunState } from "../run/run-state.ts";
import { checkpointWords } from "./checkpoint-messages.ts";
import { endedUnanswered, gateGo, gateWaits } from "./gate-messages.ts";
import type { Happening } from "./rules.ts";
import { subjectOf } from "./step-operations.ts";

/** What a message says beside what every message about a run says. */
export interface Words {
  readonly event: NoticeEvent;
  readonly title: string;
  readonly text: string;
  readonly incident: Message["incident"];
  readonly command?: string;
  readonly severity?: Severity;
  readonly step?: string;
  readonly error?: ErrorRecord;
  readonly reason?: string;
}

/**
 * What an entry of the journal says to people; undefined where it says nothing to them.
 * @param state of the run with this entry
 * @param operation of the entry's step, or of the run
 * @param before the run without this entry
 */
export function happeningOf(
  state: RunState,
  entry: JournalEntry,
  host: string,
  operation: string | undefined,
  before: RunState | undefined,
): Happening | undefined {
  const words = wordsOf(state, entry, operation, before);
  return words === undefined
    ? undefined
    : happening(state, entry.at, host, operation, words, `${entry.sequence}`);
}

/** A run that nobody holds any more although it did not come to an end: its process was killed, or its machine stopped. */
export function cutOff(state: RunState, host: string, at: string): Happening {
  const words: Words = {
    event: "run.interrupted",
    severity: "error",
    incident: "trigger",
    title: `${state.request.name} was cut off on ${state.request.environment}: its process is gone`,
    text: `Nothing goes on by itself. The last that is known of it is from ${state.lastAt}.`,
    command: `ops runs resume ${state.id}`,
  };
  return happening(state, at, host, operationOf(state), words, `${state.lastSequence}/cut-off`);
}

/** Of a single operation's run; a runbook has many. */
export function operationOf({ request }: RunState): string | undefined {
  return request.kind === "operation" ? request.name : undefined;
}

function happening(
  state: RunState,
  at: string,
  host: string,
  operation: string | undefined,
  words: Words,
  place: string,
): Happening {
  const { request, id } = state;
  const { event, title, text, incident, command, severity, step, error, reason } = words;
  const data: { [key: string]: Json } = {
    run: id,
    name: request.name,
    kind: request.kind,
    status: state.status,
    actor: request.actor,
    ...(step === undefined ? {} : { step }),
    ...(operation === undefined ? {} : { operation }),
    ...(reason === undefined ? {} : { reason }),
    ...(error === undefined ? {} : { error: { code: error.code, message: error.message } }),
  };
  return {
    source: id,
    key: `run/${id}/${place}/${event}`,
    runbook: request.kind === "runbook" ? request.name : undefined,
    operation,
    message: {
      event,
      severity: severity ?? noticeEvents[event].severity,
      title,
      text,
      environment: request.environment,
      host,
      at,
      subject: `run/${request.environment}/${subjectOf(request)}`,
      incident,
      command: command ?? `ops runs show ${id}`,
      facts: [
        { name: "run", value: id },
        { name: "by", value: request.actor },
        ...(step === undefined ? [] : [{ name: "step", value: step }]),
        { name: "begun", value: state.createdAt },
      ],
      data,
    },
  };
}

function wordsOf(
  state: RunState,
  entry: JournalEntry,
  operation: string | undefined,
  before: RunState | undefined,
): Words | undefined {
  const { request } = state;
  const subject = `${request.name} on ${request.environment}`;
  const after = formatDuration(Math.max(0, Date.parse(entry.at) - Date.parse(state.createdAt)));
  switch (entry.type) {
    case "run.created": {
      const planned = Object.values(request.plannedChanges)
        .flat()
        .map(({ summary }) => summary);
      const text = planned.length === 0 ? "Nothing is planned to change yet." : list("It would", planned);
      return { event: "run.started", incident: null, title: `${subject} begins`, text };
    }
    case "run.resumed":
      return {
        event: "run.resumed",
        incident: null,
        title: `${subject} goes on`,
        text: `${entry.data.actor} has taken it up again.`,
      };
    case "run.done":
      return {
        event: "run.done",
        incident: "resolve",
        title: `${subject} is done`,
        text: `It took ${after}.`,
      };
    case "run.failed": {
      const { error } = entry.data;
      const waits = endedUnanswered(error);
      const title = `${subject} ${waits ? "stopped" : "failed"}: ${error.message}`;
      return {
        event: "run.failed",
        ...(waits ? { severity: "warning" as const, incident: null } : { incident: "trigger" as const }),
        title,
        text: explained(error, "It stays as it is."),
        error,
      };
    }
    case "run.interrupted":
      return {
        event: "run.interrupted",
        incident: "trigger",
        title: `${subject} was stopped after ${after}`,
        text: "It stands at a safe point. Nothing goes on by itself.",
        command: `ops runs resume ${state.id}`,
      };
    case "run.rollback-started": {
      const { reason, error } = entry.data;
      return {
        event: "run.rolling-back",
        incident: "trigger",
        title: `${subject} is being taken back: ${reason}`,
        text: error === undefined ? `The reason: ${reason}.` : explained(error),
        reason,
        ...(error === undefined ? {} : { error }),
      };
    }
    case "run.rolled-back":
      return rolledBack(state, subject);
    case "run.needs-person": {
      const { reason } = entry.data;
      return {
        event: "run.needs-person",
        incident: "trigger",
        title: `${subject} needs a person: ${reason}`,
        text: "Its roll-back could not go on by itself. Steps that stand before it are as they were.",
        reason,
      };
    }
    case "step.failed":
      return stepFailed(subject, entry.step, entry.data);
    case "step.done":
      return operation === "gate.check" ? gateGo(subject, entry.step, entry.data.output) : undefined;
    case "step.checkpoint":
      return checkpointWords(state, subject, entry, before);
    default:
      return undefined;
  }
}

/** A person who asked for it has what they wanted. */
function rolledBack(state: RunState, subject: string): Words {
  const { error } = state;
  const byItself =
    error !== undefined && state.rollbackReason !== undefined && /^step /.test(state.rollbackReason);
  return {
    event: "run.rolled-back",
    severity: byItself ? "error" : "info",
    incident: byItself ? "trigger" : "resolve",
    title: `${subject} was taken back`,
    text: byItself ? explained(error, "Every step is undone.") : "Every step is undone.",
    ...(error === undefined ? {} : { error }),
  };
}

function stepFailed(
  subject: string,
  step: string,
  { error, retryInMs }: { readonly error: ErrorRecord; readonly retryInMs?: number },
): Words | undefined {
  // A watch has told of it when it happened.
  if (error.code === "E_WATCH_TRIGGERED") return undefined;
  if (retryInMs !== undefined) {
    const title = `step ${step} of ${subject} failed and is tried again in ${formatDuration(retryInMs)}`;
    return { event: "step.retried", incident: null, title, text: explained(error), step, error };
  }
  const waits = gateWaits(subject, step, error);
  if (waits !== undefined) return waits;
  const said = { text: explained(error), incident: "trigger", step, error } as const;
  if (error.code === "E_NO_GO") {
    return { ...said, event: "gate.no-go", title: `${subject}: ${error.message}`, ...commandOf(error) };
  }
  if (error.code === "E_BACKUP_OVERDUE") {
    return { ...said, event: "backup.overdue", title: `${subject}: ${error.message}`, ...commandOf(error) };
  }
  return { ...said, event: "step.failed", title: `step ${step} of ${subject} failed: ${error.message}` };
}

const longestList = 10;

function list(opening: string, lines: readonly string[]): string {
  const shown = lines.slice(0, longestList).map((each) => `- ${each}`);
  const rest = lines.length - shown.length;
  return [`${opening}:`, ...shown, ...(rest > 0 ? [`- … and ${rest} more`] : [])].join("\n");
}

/** The command in a hint such as `run: ops backup create`. */
function commandOf({ hint }: ErrorRecord): { command?: string } {
  const command = /\b(ops [a-z][^\n]*)$/.exec(hint ?? "")?.[1];
  return command === undefined ? {} : { command };
}

function explained({ message, cause, hint }: ErrorRecord, more?: string): string {
  return [
    message,
    ...(cause === undefined || message.includes(cause) ? [] : [`Because: ${cause}`]),
    ...(hint === undefined ? [] : [`Next: ${hint}`]),
    ...(more === undefined ? [] : [more]),
  ].join("\n");
}
