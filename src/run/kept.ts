import { UsageError } from "../core/errors.ts";
import { holdsSecret, redactDistinct, redactJson } from "../core/redaction.ts";
import type { RunEvent } from "./events.ts";

/**
 * An event as the journal may keep it. What is only for people to read is masked; an output is masked before anybody
 * works with it; what the engine reads back to resume or to undo stays exactly as it is, and is refused where it
 * holds a secret. Throws `E_PLAIN_SECRET`, before the effect that the event announces.
 */
export function kept(event: RunEvent): RunEvent {
  switch (event.type) {
    case "run.failed":
    case "run.needs-person":
    case "run.rollback-started":
    case "step.failed":
    case "step.skipped":
    case "step.undo-failed":
      return { ...event, data: redactJson(event.data) } as RunEvent;
    case "step.undone":
      return { ...event, data: redactJson(event.data) };
    case "step.done":
      return { ...event, data: redactDistinct(event.data) };
    default:
      if (!("data" in event) || !holdsSecret(event.data)) return event;
      throw new UsageError(
        "E_PLAIN_SECRET",
        `${subject(event)} holds a secret, which the journal would have to keep`,
        {
          hint: "use a reference: env:NAME, file:PATH or cmd:COMMAND",
        },
      );
  }
}

function subject(event: RunEvent): string {
  if (!("step" in event)) return "The run";
  return event.type === "step.observed" ? `What step ${event.step} found` : `Step ${event.step}`;
}
