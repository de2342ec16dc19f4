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
      /** What ends the step when a value reaches it. */
      limit: z.number().optional(),
      /** Line → value; null where there is none. */
      lines: z.record(z.string(), z.number().nullable()),
    }),
  ),
});
export type Sample = z.output<typeof sampleSchema>;

/** The samples in what a step's checkpoint keeps; none where it keeps something else. */
export function samplesIn(checkpoint: unknown): Sample[] {
  return z.object({ samples: z.array(sampleSchema) }).safeParse(checkpoint).data?.samples ?? [];
}
