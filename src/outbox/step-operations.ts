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

/** The inputs that say which of several things an operation is about, as far as one can name it. */
const named = ["watch", "gate", "load", "baseline", "flag", "route", "pool", "database", "store"] as const;

/**
 * What a run is about, the same for a trouble and for its end: a runbook by its name; of a single operation that says
 * nothing, as there are many gates: `gate.check/pre-deploy`.
 */
export function subjectOf({ kind, name, text }: Pick<RunRequest, "kind" | "name" | "text">): string {
  if (kind === "runbook") return name;
  const { steps = [] } = parse(text) as { steps?: readonly { readonly with?: Record<string, unknown> }[] };
  const input = steps[0]?.with ?? {};
  const things = named.map((key) => input[key]).filter((each) => typeof each === "string");
  return [name, ...things].join("/");
}
