import { z } from "zod";
import { finding } from "./comparison.ts";

export const stepResult = z.object({
  share: z.number().describe("Percent of the traffic that the weights gave the new version"),
  observedShare: z.number().nullable().describe("Percent that it got"),
  requests: z.number().describe("Of the new version, that came to an end"),
  errors: z.number().describe("Of them: 5xx, connection and response errors, retries and redispatches"),
  errorRate: z.number().describe("Percent"),
  serverErrors: z.number(),
  connectionErrors: z.number(),
  responseErrors: z.number(),
  retries: z.number(),
  redispatches: z.number(),
  p95: z.number().nullable().describe("Milliseconds; null where no p95 limit is set"),
  meanResponse: z.number().nullable().describe("Milliseconds, the balancer's own slow mean"),
  healthFailures: z.number().describe("Failed health checks of the step, in a row or not"),
  bakedMs: z.number(),
  restarts: z.number().describe("Times the balancer was restarted or reloaded during the step"),
  comparison: z
    .array(finding)
    .describe(
      "The new version against those serving beside it, over the whole canary; empty where nothing is compared",
    ),
});

export type StepResult = z.output<typeof stepResult>;
