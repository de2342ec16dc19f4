import { z } from "zod";
import { type Duration, parseDuration } from "../core/duration.ts";
import { OpsError, UsageError } from "../core/errors.ts";
import { type Percent, parsePercent } from "../core/percent.ts";

/** The canary stays where it is, and is watched on, until somebody promotes it. */
export interface Pause {
  /** Milliseconds it waits at most; null: as long as it takes. */
  readonly pause: Duration | null;
}

/** One entry of `steps`: a share, or a pause at the share before it. */
export type StepEntry = Percent | Pause;

export const isPause = (entry: StepEntry | undefined): entry is Pause => typeof entry === "object";

/** `10%`, `pause`, `pause:30m`. Throws `E_PERCENT`, `E_DURATION` or `E_CANARY_STEPS`. */
export function parseEntry(text: string): StepEntry {
  const trimmed = text.trim();
  const [isPaused, timeout] = /^pause(?:[:=]\s*(\S+))?$/.exec(trimmed) ?? [];
  if (isPaused !== undefined) return { pause: timeout === undefined ? null : parseDuration(timeout) };
  if (/^[a-z]/i.test(trimmed)) {
    throw new UsageError("E_CANARY_STEPS", `"${text}" is neither a share nor a pause`, {
      hint: "write 10%, pause, or pause:30m",
    });
  }
  return parsePercent(trimmed);
}

/** YAML reads `- pause: 30m` as a mapping; on a command line it is one word, `pause:30m`. */
const entry = z
  .union([z.string(), z.strictObject({ pause: z.string().nullable() })], {
    error: "must be a share (10%), pause, or pause: 30m",
  })
  .transform((written, context): StepEntry => {
    try {
      if (typeof written === "string") return parseEntry(written);
      return { pause: written.pause === null ? null : parseDuration(written.pause) };
    } catch (error) {
      if (!(error instanceof OpsError)) throw error;
      context.addIssue({ code: "custom", message: error.message, params: { hint: error.hint } });
      return z.NEVER;
    }
  });

/** `[10%, pause, 50%, pause: 30m, 100%]` */
export const stepEntries = z
  .array(entry)
  .refine((entries) => entries.some((each) => !isPause(each)), "needs at least one share")
  .refine((entries) => {
    const shares = entries.filter((each) => !isPause(each));
    return shares.every((share, index) => share > (shares[index - 1] ?? 0));
  }, "must be increasing shares above 0%")
  .refine(
    (entries) => !entries.some((each, index) => isPause(each) && isPause(entries[index - 1])),
    "must not have two pauses in a row",
  );
