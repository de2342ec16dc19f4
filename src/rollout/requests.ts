import { z } from "zod";

/** What somebody wants of one attempt of a canary. */
export const requestSchema = z.object({
  token: z.string(),
  by: z.string(),
  reason: z.string().nullable(),
  at: z.iso.datetime(),
});
export type AbortRequest = z.output<typeof requestSchema>;

export const promotionSchema = requestSchema.extend({
  /** Of the pause that is meant. */
  step: z.int(),
  /** Whether the canary has heard of it. */
  heard: z.boolean(),
});
export type PromotionRequest = z.output<typeof promotionSchema>;
