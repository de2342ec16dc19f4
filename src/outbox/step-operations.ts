import { parse } from "yaml";
import type { RunRequest } from "../run/events.ts";

/** The operation of each step of a run, by the runbook's text in the journal. */
export function stepOperations({ text }: RunRequest): ReadonlyMap<string, string> {
  const found = new Map<string, string>();
  const look = (value: unknown): void => {
    if (Array.isArray(value)) for (const each of value) look(each);
    else if (typeof value === "object" && value !== null) {
      const { id, uses } = value as { id?: unknown; uses?: unknown };
      if (typeof id === "string" && typeof uses === "string") found.set(id, uses);
      else for (const each of Object.values(value)) look(each);
    }
  };
  // It was valid when the run began.
  const { steps } = parse(text) as { steps?: unknown };
  look(steps);
  return found;
}
