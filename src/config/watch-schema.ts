import { z } from "zod";
import { commandWords } from "../core/command-words.ts";
import { OpsError } from "../core/errors.ts";
import { duration, name, threshold } from "../core/schema.ts";
import { writtenTrigger } from "../core/watch-trigger.ts";

/** A gate that is measured again and again, and what happens when it goes bad. */

/** A text is taken apart first; what is no text is taken as it is. */
function orText<T extends z.ZodType>(parse: (text: string) => unknown, schema: T) {
  return z.preprocess((given, context) => {
    if (typeof given !== "string") return given;
    try {
      return parse(given);
    } catch (error) {
      if (!(error instanceof OpsError)) throw error;
      context.addIssue({ code: "custom", message: error.message, params: { hint: error.hint } });
      return z.NEVER;
    }
  }, schema);
}

/** A program and its arguments: a list, or a command line that no shell reads. */
export const command = (description: string) =>
  orText(commandWords, z.array(z.string()).min(1, "needs a program")).describe(description);

export const watchTrigger = orText(
  writtenTrigger,
  z
    .strictObject({
      check: name("A check of the gate"),
      fail: threshold("A limit for this trigger alone; default: the check's own").optional(),
      "failures-in-a-row": z.int().min(1).optional().describe("So many looks in a row at which it fails"),
      for: duration("It fails at every look for so long").optional(),
    })
    .refine((each) => each["failures-in-a-row"] === undefined || each.for === undefined, {
      error: 'has both "failures-in-a-row" and "for"',
      params: { hint: "write two triggers: each of them is enough" },
    }),
);
export type WatchTrigger = z.output<typeof watchTrigger>;

export const watchSchema = z.strictObject({
  gate: name("The gate that is measured"),
  for: duration("How long it is watched").optional(),
  every: duration("Time from one look to the next").optional(),
  "failures-in-a-row": z.int().min(1).optional().describe("No-go looks in a row that trigger; default: 3"),
  triggers: z.array(watchTrigger).optional().describe("Checks that trigger in their own way"),
  "on-fail": command("What runs once when a trigger fires; ops is this very command").optional(),
  "on-fail-repeat": z.boolean().optional().describe("It is safe to run it a second time"),
  "on-fail-timeout": duration("How long it may take").optional(),
  variables: z
    .array(z.string().regex(/^[A-Za-z_][A-Za-z0-9_]*$/, "must be the name of an environment variable"))
    .optional()
    .describe("Names of environment variables that a program other than ops gets"),
  timeout: duration("How long a check without a timeout of its own may take").optional(),
});
export type WatchSettings = z.output<typeof watchSchema>;
