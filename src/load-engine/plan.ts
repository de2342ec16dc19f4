import { z } from "zod";

/** One request of a scenario, as the generator of the load sends it. */
export const loadStepSchema = z.object({
  /** `GET /orders`, without the query. */
  name: z.string(),
  method: z.string(),
  /** With the query. */
  path: z.string(),
  /** Revealed: secrets stand here, so a plan goes over pipes only. */
  headers: z.record(z.string(), z.string()),
  body: z.string().optional(),
  /** Statuses that are good answers; none: 200–399. */
  expect: z.array(z.number()).optional(),
  /** Milliseconds that a user waits after the answer. */
  thinkMs: z.number(),
});
export type LoadStep = z.output<typeof loadStepSchema>;

/** All that the program that makes the load is told. */
export const loadPlanSchema = z.object({
  engine: z.enum(["autocannon", "k6"]),
  /** Path of the program, for k6. */
  program: z.string().optional(),
  /** `https://staging.example.com`: nothing else is ever asked. */
  origin: z.string(),
  steps: z.array(loadStepSchema).min(1),
  users: z.number().int().positive(),
  durationMs: z.number().positive(),
  /** Part of the duration, in which users begin a tenth at a time; not judged. */
  rampUpMs: z.number().nonnegative(),
  /** Of one request. */
  timeoutMs: z.number().positive(),
  intervalMs: z.number().positive(),
});
export type LoadPlan = z.output<typeof loadPlanSchema>;

/** Milliseconds; null where nothing was answered. */
const time = z.number().nullable();

/** What one interval was like. */
export const intervalSchema = z.object({
  /** Milliseconds after the beginning of the load. */
  at: z.number(),
  users: z.number(),
  requests: z.number(),
  bad: z.number(),
  p50: time,
  p95: time,
  p99: time,
  mean: time,
});
export type LoadInterval = z.output<typeof intervalSchema>;

const outcomes = {
  requests: z.number().describe("Answered or failed"),
  bad: z.number().describe("Unexpected statuses, timeouts and broken connections"),
};

/** What a load came to; the totals are of the time after the ramp-up. */
export const loadFiguresSchema = z.object({
  /** Milliseconds of the whole load, and of the part that the totals are of. */
  elapsedMs: z.number(),
  measuredMs: z.number(),
  ...outcomes,
  failures: z.object({ status: z.number(), timeout: z.number(), connection: z.number() }),
  statuses: z.record(z.string(), z.number()),
  bytes: z.number(),
  throughput: z.number().describe("Good answers a second"),
  latency: z.object({
    p50: time,
    p75: time,
    p90: time,
    p95: time,
    p99: time,
    p999: time,
    mean: time,
    max: time,
  }),
  steps: z.array(z.object({ name: z.string(), ...outcomes, p50: time, p95: time })),
  /** Of the whole load, its ramp-up included. */
  intervals: z.array(intervalSchema),
});
export type LoadFigures = z.output<typeof loadFiguresSchema>;

/** Of what the generator says, a line each. */
export const messageSchema = z.discriminatedUnion("type", [
  z.object({ type: z.literal("interval"), interval: intervalSchema }),
  z.object({ type: z.literal("done"), figures: loadFiguresSchema }),
  z.object({
    type: z.literal("failed"),
    code: z.enum(["E_LOAD_TARGET", "E_LOAD_GENERATOR"]),
    message: z.string(),
  }),
]);
export type LoadMessage = z.output<typeof messageSchema>;

/** The load cannot go on, and a person should know why. */
export class LoadFailure extends Error {
  readonly code: "E_LOAD_TARGET" | "E_LOAD_GENERATOR";

  constructor(code: "E_LOAD_TARGET" | "E_LOAD_GENERATOR", message: string) {
    super(message);
    this.name = "LoadFailure";
    this.code = code;
  }
}

/** How many users there are from when on, in milliseconds after the beginning: at most ten steps of equal length. */
export function rampSteps({
  users,
  rampUpMs,
}: Pick<LoadPlan, "users" | "rampUpMs">): { at: number; users: number }[] {
  const count = rampUpMs === 0 ? 1 : Math.min(users, 10);
  return Array.from({ length: count }, (_, index) => ({
    at: (index * rampUpMs) / count,
    users: Math.ceil(((index + 1) * users) / count),
  }));
}

export function usersAt(plan: Pick<LoadPlan, "users" | "rampUpMs">, at: number): number {
  return rampSteps(plan).findLast((step) => step.at <= at)?.users ?? 0;
}

export function isExpected(status: number, { expect }: Pick<LoadStep, "expect">): boolean {
  return expect === undefined ? status >= 200 && status < 400 : expect.includes(status);
}
