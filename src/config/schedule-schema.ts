import { z } from "zod";
import { duration, name } from "../core/schema.ts";
import { webUrl } from "./notification-schema.ts";

/** What runs by itself, and who is told how it went. */

export const scheduleSchema = z
  .strictObject({
    cron: z
      .string()
      .describe('Minute, hour, day of month, month, day of week: "0 3 * * *"; or @daily, @hourly'),
    "time-zone": z.string().default("UTC").describe("Time zone of the expression: Europe/Berlin"),
    jitter: duration("Starts up to this much later, the same for each time on one machine").prefault("0s"),
    uses: z.string().optional().describe("The operation that runs: backup.create"),
    with: z.record(z.string(), z.unknown()).optional().describe("Its input"),
    runbook: z.string().min(1, "must not be empty").optional().describe("The runbook that runs instead"),
    inputs: z
      .record(z.string(), z.union([z.string(), z.number(), z.boolean()]))
      .optional()
      .describe("Its inputs"),
    "catch-up": z.boolean().default(true).describe("Run once what was missed, finish what was cut off"),
    "catch-up-within": duration("How late that may still happen").prefault("24h"),
    timeout: duration("Stopped when it takes longer").prefault("24h"),
    ping: z
      .union([
        webUrl("A dead man's switch; /start and /fail are added to it"),
        z.strictObject({
          start: webUrl("Asked when a run begins").optional(),
          success: webUrl("Asked when it is done").optional(),
          failure: webUrl("Asked when it failed").optional(),
        }),
      ])
      .optional()
      .describe("URL of a dead man's switch, or one for each of start, success and failure"),
    notify: z.array(name("A notification")).default([]).describe("Who is told of failures and of silence"),
    "overdue-after": duration("Time without a success after which it counts as silent").optional(),
  })
  .refine((each) => (each.uses === undefined) !== (each.runbook === undefined), {
    error: 'needs either "uses" (an operation) or "runbook" (a file)',
    params: { hint: "write uses: backup.create, or runbook: runbooks/nightly.yaml" },
  })
  .refine((each) => each.with === undefined || each.uses !== undefined, {
    error: '"with" belongs to "uses"; a runbook takes "inputs"',
  })
  .refine((each) => each.inputs === undefined || each.runbook !== undefined, {
    error: '"inputs" belong to "runbook"; an operation takes "with"',
  });
