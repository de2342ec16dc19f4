import { z } from "zod";
import { duration, name } from "../core/schema.ts";
import { isReference } from "./secret.ts";

/** What runs by itself, and who is told how it went. */

const pingUrl = (what: string) =>
  z
    .string()
    .refine(
      (each) => isReference(each) || (/^https?:\/\//.test(each) && URL.canParse(each)),
      "must be an http: or https: URL, or a reference (env:NAME)",
    )
    .describe(`${what} (text, or a reference: env:NAME, file:PATH, cmd:COMMAND)`);

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
        pingUrl("A dead man's switch; /start and /fail are added to it"),
        z.strictObject({
          start: pingUrl("Asked when a run begins").optional(),
          success: pingUrl("Asked when it is done").optional(),
          failure: pingUrl("Asked when it failed").optional(),
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

export const notificationSchema = z
  .strictObject({
    command: z
      .array(z.string())
      .min(1, "needs a program")
      .optional()
      .describe("A program and its arguments; it gets the notice as JSON on its standard input"),
    variables: z
      .array(z.string().regex(/^[A-Za-z_][A-Za-z0-9_]*$/, "must be the name of an environment variable"))
      .default([])
      .describe("Names of environment variables that the program gets, beside PATH, HOME, LANG and TZ"),
    url: pingUrl("Where the notice is sent as JSON (POST)").optional(),
    headers: z
      .record(z.string(), z.string())
      .default({})
      .describe("Headers; a value may be a reference: env:NAME, file:PATH, Bearer env:NAME"),
  })
  .refine((each) => (each.command === undefined) !== (each.url === undefined), {
    error: 'needs either "command" or "url"',
    params: { hint: "write url: env:SLACK_WEBHOOK, or command: [mail, -s, ops, team@example.com]" },
  });
