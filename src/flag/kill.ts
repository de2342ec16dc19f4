import { z } from "zod";
import { OpsError } from "../core/errors.ts";
import { beforeKill, isKilled, isOff, killed } from "../flag-source/off.ts";
import { defineFlagChange, existing } from "./change.ts";
import { insideOf } from "./set.ts";

export const kill = defineFlagChange({
  name: "flag.kill",
  summary: "Turn a flag off for everybody at once, whatever its rules say, until it is restored",
  example: 'flag kill new-checkout --reason "payments fail"',
  verb: "kill flag",
  throughKill: true,
  beforeIt: beforeKill,
  input: {
    variant: z
      .string()
      .describe("The variant that everybody gets; default: the one that stands for off")
      .optional(),
  },
  edit: (before, { reason, variant }, { now, actor }) =>
    killed(existing(before), { at: now.toISOString(), by: actor, reason, variant }),
});

export const restore = defineFlagChange({
  name: "flag.restore",
  summary: "Bring back what a flag was before it was killed, or turned off",
  example: "flag restore new-checkout",
  verb: "restore flag",
  throughKill: true,
  input: {},
  edit: (before) => {
    const definition = existing(before);
    if (isKilled(definition)) {
      const was = beforeKill(definition);
      if (was !== undefined) return was;
      throw new OpsError("E_FLAG_KILLED", "What the flag was before it was killed cannot be read any more", {
        hint: "somebody changed its metadata by hand: take what was before from ops flag history",
        retryable: false,
      });
    }
    return isOff(definition) ? insideOf(definition) : definition;
  },
});
