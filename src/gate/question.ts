import { z } from "zod";
import { canonicalJson, digest } from "../core/digest.ts";
import { duration } from "../core/schema.ts";

/** What a check of kind `manual` asks, and who may say so. */
export const questionInput = z.strictObject({
  question: z.string().trim().min(1, "must not be empty").describe("What a person must say yes to"),
  role: z.string().trim().min(1, "must not be empty").describe("Who must answer: release manager"),
  by: z
    .array(z.string().trim().min(1, "must not be empty"))
    .min(1, "needs at least one name")
    .optional()
    .describe("The names that may answer; default: whoever has the role, by any name"),
  "valid-for": duration("How long an answer counts at most").prefault("24h"),
});

export type Question = z.output<typeof questionInput>;

/** Two questions are the same where a person who said yes to one said yes to the other. */
export function questionDigest({ question, role, by }: Question): string {
  return digest(canonicalJson({ question, role, by: by === undefined ? null : [...by].sort() }));
}
