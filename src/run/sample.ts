import { z } from "zod";

/**
 * What a step measured at one moment: for each measure the values of the lines that are held against each other. The
 * newest ones are drawn while the step goes on; those that its checkpoints keep (under `samples`) make the report's
 * charts.
 */
export const sampleSchema = z.object({
  /** UTC, ISO 8601. */
  at: z.iso.datetime(),
  measures: z.array(
    z.object({
      /** With its unit, as it is read behind the value: `requests/s`, `% bad`. */
      name: z.string(),
      /** How it is drawn: `log` from 1 on, for what grows by factors. Default: in proportion, from 0 on. */
      scale: z.literal("log").optional(),
      /** What ends the step when a value reaches it. */
      limit: z.number().optional(),
      /** Line → value; null where there is none. */
      lines: z.record(z.string(), z.number().nullable()),
    }),
  ),
});
export type Sample = z.output<typeof sampleSchema>;

/** How high a value stands where 1 is drawn as high as `most`; what is under the scale's beginning is 0. */
export function heightOf(value: number, most: number, scale: "log" | undefined): number {
  if (scale !== "log") return most > 0 ? value / most : 0;
  return most > 1 && value > 1 ? Math.log10(value) / Math.log10(most) : 0;
}

/** The samples in what a step's checkpoint keeps; none where it keeps something else. */
export function samplesIn(checkpoint: unknown): Sample[] {
  return z.object({ samples: z.array(sampleSchema) }).safeParse(checkpoint).data?.samples ?? [];
}
