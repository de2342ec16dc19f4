import type { Json } from "../core/errors.ts";
import type { JournalEntry } from "../run/events.ts";
import type { RunState } from "../run/run-state.ts";
import type { Words } from "./run-messages.ts";

type Checkpoint = Extract<JournalEntry, { type: "step.checkpoint" }>;

/**
 * What a checkpoint says to people: that a canary waits for its promotion, that a watch saw what it watches for. Others
 * are there to resume from.
 */
export function checkpointWords(
  state: RunState,
  subject: string,
  { step, data }: Checkpoint,
  before: RunState | undefined,
): Words | undefined {
  if (isPause(data)) return waiting(state, subject, step);
  const trigger = triggerOf(data);
  if (trigger === undefined || triggerOf(before?.steps.get(step)?.checkpoint) !== undefined) return undefined;
  const { gate, triggers, reasons } = trigger;
  return {
    event: "watch.triggered",
    incident: "trigger",
    title: `${subject}: the watch of gate ${gate} triggered: ${triggers.join(" and ")}`,
    text: reasons.join("\n"),
    step,
    command: `ops watch report ${state.id}`,
  };
}

/** Whether a checkpoint may be worth a notice: a long step writes thousands that are not. */
export function isNews(data: Json): boolean {
  return isPause(data) || triggerOf(data) !== undefined;
}

/** Somebody has to come. */
function isPause(data: Json): boolean {
  return keyOf(data, "phase") === "paused";
}

function waiting(state: RunState, subject: string, step: string): Words {
  const route = state.steps
    .get(step)
    ?.changes.find(({ target }) => target.startsWith("route:"))
    ?.target.slice("route:".length);
  return {
    event: "run.waiting",
    incident: "trigger",
    title: `${subject} waits for a person: step ${step} is paused`,
    text: "It goes on when somebody promotes it.",
    step,
    ...(route === undefined ? {} : { command: `ops traffic promote ${route}` }),
  };
}

interface Trigger {
  readonly gate: string;
  readonly triggers: readonly string[];
  readonly reasons: readonly string[];
}

/** Of a watch that has triggered. */
function triggerOf(data: Json | undefined): Trigger | undefined {
  if (keyOf(data, "kind") !== "watch") return undefined;
  const trigger = keyOf(data, "trigger");
  if (trigger === null || trigger === undefined) return undefined;
  return {
    gate: String(keyOf(data, "gate") ?? ""),
    triggers: textsOf(keyOf(trigger, "triggers")),
    reasons: textsOf(keyOf(trigger, "reasons")),
  };
}

function keyOf(data: Json | undefined, key: string): Json | undefined {
  return typeof data === "object" && data !== null && !Array.isArray(data) ? data[key] : undefined;
}

function textsOf(value: Json | undefined): string[] {
  return Array.isArray(value) ? value.map(String) : [];
}
