import { z } from "zod";
import { OpsError } from "../../core/errors.ts";
import { parseMoment } from "./wall-text.ts";

/** A date or a time in a gate or a calendar; it stays as it is written, for its time zone is known only later. */
export function momentField(edge: "begin" | "end") {
  return checkedText((text) => parseMoment(text, "UTC", edge));
}

/** A text that `parse` has nothing against. */
export function checkedText(parse: (text: string) => unknown) {
  return z.string().superRefine((text, context) => {
    try {
      parse(text);
    } catch (error) {
      if (!(error instanceof OpsError)) throw error;
      context.addIssue({ code: "custom", message: error.message, params: { hint: error.hint } });
    }
  });
}
