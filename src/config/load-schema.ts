import { z } from "zod";
import { OpsError } from "../core/errors.ts";
import { duration, name, seconds } from "../core/schema.ts";
import { parseHttpUrl } from "../http/client.ts";
import { statusInput } from "../http/status.ts";
import { parseLoadThreshold } from "../measured-series/load-threshold.ts";

/** What load is made of, and where it may go. */

/** What a text must be, by what throws where it is not. */
export const written = (parse: (text: string) => unknown) => (text: string, context: z.RefinementCtx) => {
  try {
    parse(text);
  } catch (error) {
    if (!(error instanceof OpsError)) throw error;
    context.addIssue({ code: "custom", message: error.message, params: { hint: error.hint } });
  }
};

/** `https://staging.example.com`, `http://127.0.0.1:3000`: scheme, host and port, and nothing else. */
const origin = (text: string, context: z.RefinementCtx) => {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  const isOrigin =
    (url?.protocol === "http:" || url?.protocol === "https:") &&
    url.username === "" &&
    url.password === "" &&
    !url.host.includes("*") &&
    (text === url.origin || text === `${url.origin}/`);
  if (isOrigin) return;
  context.addIssue({
    code: "custom",
    message: "is not the scheme, host and port of a server",
    params: {
      hint:
        url === undefined || url.origin === "null" || url.host.includes("*")
          ? "write https://staging.example.com, or with a port that is not the usual one"
          : `write ${url.origin}`,
    },
  });
};

export const loadPermissionSchema = z.strictObject({
  allow: z
    .array(z.string().superRefine(origin))
    .optional()
    .describe("Servers of this environment that load may be made on; without a list only this machine"),
});

export const loadStepSchema = z.strictObject({
  method: z.enum(["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]).default("GET").describe("Method"),
  url: z.string().min(1, "must not be empty").default("/").describe("Path at the target: /orders?page=1"),
  headers: z
    .record(z.string(), z.string())
    .default({})
    .describe("Request headers; a value may be a reference: env:NAME, file:PATH, Bearer env:NAME"),
  body: z.string().optional().describe("Text that is sent"),
  expect: statusInput().optional().describe("Statuses that are good answers; default: 200-399"),
  think: duration("How long a user waits after the answer").prefault("0s"),
});

export const loadSchema = z.strictObject({
  target: z
    .string()
    .superRefine(written(parseHttpUrl))
    .describe("Where the load goes: http://127.0.0.1:3000; its server must be allowed (load: allow:)"),
  scenario: z
    .array(loadStepSchema)
    .min(1, "needs at least one request")
    .optional()
    .describe("The requests of a user, one after the other, again and again; default: GET of the target"),
  users: z.number().int().min(1).max(10_000).default(10).describe("How many do so at the same time"),
  duration: seconds("How long, the ramp-up included (30s; a bare number is seconds)").prefault("30s"),
  "ramp-up": seconds("In that time users begin, a tenth of them at a time; not judged").prefault("0s"),
  thresholds: z
    .array(z.string().superRefine(written(parseLoadThreshold)))
    .default([])
    .describe("What must hold: p95<200ms, error-rate<1%, throughput>1000"),
  engine: z.enum(["autocannon", "k6"]).default("autocannon").describe("What makes the load"),
  timeout: duration("How long one answer may take").prefault("10s"),
  interval: duration("Length of the intervals that figures are kept of").prefault("1s"),
});

export type LoadSettings = z.output<typeof loadSchema>;
export const loadName = () => name("A load's name");
