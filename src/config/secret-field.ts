import { z } from "zod";
import { isReference } from "./secret.ts";

/** A field of the configuration that may hold a secret as text or as a reference. */
export const secret = (what: string) =>
  z
    .string()
    .min(1, "must not be empty")
    .describe(`${what} (text, or a reference: env:NAME, file:PATH, cmd:COMMAND)`);

/** One that may not be written down: a reference only. */
export const referencedSecret = (what: string) =>
  z
    .string()
    .refine((each) => isReference(each), {
      error: "must be a reference, since what is written here is no secret any more",
      params: {
        hint: "write env:NAME, file:PATH or cmd:COMMAND; make a new key if this one was written down",
      },
    })
    .describe(`${what} (a reference: env:NAME, file:PATH, cmd:COMMAND)`);
