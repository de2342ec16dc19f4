import { z } from "zod";
import { milliseconds, parseDuration } from "./duration.ts";
import { OpsError } from "./errors.ts";
import { parsePercent } from "./percent.ts";
import { parseRate, parseSize } from "./size.ts";
import { parseThreshold } from "./threshold.ts";

// A command parses with a schema once or twice: to compile a parser for it takes longer than that.
z.config({ jitless: true });

/**
 * The field types that operations and configuration share. Each is written as text (`10m`, `10%`, `> 5%`),
 * validated where it stands and handed on as its own type.
 */
function parsed<T>(parse: (text: string) => T, description: string) {
  return z
    .string()
    .transform((text, context): T => {
      try {
        return parse(text);
      } catch (error) {
        if (!(error instanceof OpsError)) throw error;
        context.addIssue({ code: "custom", message: error.message, params: { hint: error.hint } });
        return z.NEVER;
      }
    })
    .describe(description);
}

export const duration = (description = "A duration: 500ms, 10s, 5m, 1h30m") =>
  parsed(parseDuration, description);
export const percentage = (description = "A percentage: 10%") => parsed(parsePercent, description);
export const threshold = (description = 'A limit: "> 5%", "> 500ms"') => parsed(parseThreshold, description);

/** Words of a person that are shown wherever what they are about is shown: one line. */
export const words = (description: string, longest = 500) =>
  z
    .string()
    .trim()
    .min(1, "must not be empty")
    .max(longest, `must not be longer than ${longest} characters`)
    .regex(/^[^\p{Cc}\u2028\u2029]*$/u, "must be one line")
    .describe(description);

/** As the tools that make load take it: a bare number is seconds. */
export const seconds = (description: string) =>
  z
    .union([
      parsed(
        (text) => parseDuration(/^\d+(\.\d+)?$/.test(text.trim()) ? `${text.trim()}s` : text),
        description,
      ),
      z
        .number()
        .nonnegative()
        .transform((value) => milliseconds(value * 1000)),
    ])
    .describe(description);

export const size = (description = "A size: 512KiB, 16MiB, 1.5GiB") => parsed(parseSize, description);

/** As above, but the value stays as it is written, for what people read again in `ops config show`. */
function written(parse: (text: string) => unknown, description: string) {
  return z
    .string()
    .superRefine((text, context) => {
      try {
        parse(text);
      } catch (error) {
        if (!(error instanceof OpsError)) throw error;
        context.addIssue({ code: "custom", message: error.message, params: { hint: error.hint } });
      }
    })
    .describe(description);
}

export const writtenDuration = (description: string) => written(parseDuration, description);
export const writtenSize = (description: string) => written(parseSize, description);
export const writtenRate = (description: string) => written(parseRate, description);

/** The name of a target, a step, a flag: letters, digits, `-`, `_` and `.`. */
export const name = (description: string) =>
  z
    .string()
    .regex(
      /^[A-Za-z0-9][A-Za-z0-9._-]*$/,
      "must start with a letter or digit and hold only letters, digits, '.', '_' and '-'",
    )
    .describe(description);
