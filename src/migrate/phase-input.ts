import { z } from "zod";
import { type Duration, milliseconds } from "../core/duration.ts";
import { UsageError } from "../core/errors.ts";
import { duration, name } from "../core/schema.ts";

/** Without a word about it, contract migrations wait so long after the newest expand migration. */
export const defaultSoak = milliseconds(30 * 60_000);

export const phaseFields = {
  phase: z
    .enum(["expand", "contract", "all"])
    .default("all")
    .describe(
      "expand: what the old version of the application can live with; contract: what only the new one can (-- ops: phase=contract); all: both, in the order of their versions",
    ),
  soak: duration(
    "With phase contract: how long the newest applied expand migration must have been in use; default: 30m",
  ).optional(),
  route: name("With traffic-version: the route; default: the only one, or the one called web").optional(),
  "traffic-version": name(
    "With phase contract: the version of the application that must have all of the route's traffic",
  ).optional(),
  wait: duration(
    "With phase contract: how long to wait for the soak time and the traffic; default: not at all",
  ).optional(),
  reason: z
    .string()
    .min(1, "must not be empty")
    .optional()
    .describe(
      "With phase contract: why it runs although the soak time or the traffic speaks against it; recorded",
    ),
};

export interface PhaseInput {
  readonly phase: "expand" | "contract" | "all";
  readonly soak?: Duration | undefined;
  readonly route?: string | undefined;
  readonly "traffic-version"?: string | undefined;
  readonly wait?: Duration | undefined;
  readonly reason?: string | undefined;
}

const contractOnly = ["soak", "route", "traffic-version", "wait", "reason"] as const;

/** Conditions that nobody would look at are a mistake, and a dangerous one. Throws `E_INPUT`. */
export function refuseIdleConditions(input: PhaseInput): void {
  const idle = contractOnly.filter((key) => input[key] !== undefined);
  if (input.phase !== "contract" && idle.length > 0) {
    throw new UsageError("E_INPUT", `${idle.join(", ")} without phase contract would have no effect`, {
      hint: "add --phase contract (phase: contract in a runbook), or leave them out",
    });
  }
  if (input.route !== undefined && input["traffic-version"] === undefined) {
    throw new UsageError("E_INPUT", "A route is given, but not the version that must have its traffic", {
      hint: "add --traffic-version VERSION",
    });
  }
}
