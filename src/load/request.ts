import { z } from "zod";
import type { Environment } from "../config/environment.ts";
import type { LoadSettings } from "../config/load-schema.ts";
import { loadSchema, loadStepSchema } from "../config/load-schema.ts";
import { canonicalJson, digest } from "../core/digest.ts";
import { formatDuration } from "../core/duration.ts";
import { causeText, UsageError } from "../core/errors.ts";
import { name, seconds } from "../core/schema.ts";
import { parseHttpUrl } from "../http/client.ts";
import { revealHeaders } from "../http/headers.ts";
import type { LoadPlan, LoadStep } from "../load-engine/plan.ts";
import { type LoadThreshold, parseLoadThreshold } from "../measured-series/load-threshold.ts";
import { requireProgram } from "../process/find-program.ts";
import { requireOwned } from "./target.ts";

const { shape } = loadSchema;

export const loadInput = z.strictObject({
  load: name("The load in .opsrc; default: the only one, or default").optional(),
  url: z.string().optional().describe("Where the load goes, instead of a load in .opsrc: a GET of it"),
  users: shape.users.unwrap().optional().describe("How many users there are at the same time"),
  duration: seconds("How long, the ramp-up included: 5m, or a number of seconds").optional(),
  "ramp-up": seconds("In that time users begin, a tenth of them at a time; not judged").optional(),
  threshold: shape.thresholds
    .unwrap()
    .optional()
    .describe("What must hold: p95<200ms error-rate<1% throughput>1000"),
  engine: shape.engine.unwrap().optional().describe("What makes the load"),
  version: z.string().min(1).optional().describe("The version that is loaded; kept with the result"),
});
export type LoadInput = z.output<typeof loadInput>;

/** A load that was asked for by a URL has no name of its own. */
export const unnamed = "url";

/** A load with all that was said about it, on a server that is the environment's own. */
export interface RequestedLoad {
  readonly name: string;
  readonly target: URL;
  readonly settings: LoadSettings;
  readonly thresholds: readonly LoadThreshold[];
  /** Path of the program, for k6. */
  readonly program: string | undefined;
}

/** Settings of the load that is meant, with what was given beside it. Throws `E_LOAD_INPUT`. */
export function settingsOf(
  environment: Environment,
  input: LoadInput,
): LoadSettings & { readonly name: string } {
  if (input.url !== undefined && input.load !== undefined) {
    throw new UsageError("E_LOAD_INPUT", "Either a load or a URL can be named, not both", {
      hint: "leave one of them out",
    });
  }
  const { name, ...settings } =
    input.url === undefined
      ? environment.load(input.load)
      : { name: unnamed, ...loadSchema.parse({ target: parseHttpUrl(input.url).href }) };
  return {
    name,
    ...settings,
    users: input.users ?? settings.users,
    duration: input.duration ?? settings.duration,
    "ramp-up": input["ramp-up"] ?? settings["ramp-up"],
    thresholds: input.threshold ?? settings.thresholds,
    engine: input.engine ?? settings.engine,
  };
}

/** Intervals that a result keeps, at most. */
const mostIntervals = 3600;

/**
 * Everything that can be known to be wrong before the first request. Throws `E_LOAD_INPUT`, `E_LOAD_FORBIDDEN`, `E_LIMIT`
 * and, for k6, `E_PROGRAM_MISSING`.
 */
export async function requestedLoad(environment: Environment, input: LoadInput): Promise<RequestedLoad> {
  const { name, ...settings } = settingsOf(environment, input);
  const target = await requireOwned(environment, settings.target);
  for (const { url } of settings.scenario ?? []) {
    const step = URL.canParse(url, target.href) ? new URL(url, target) : undefined;
    if (step?.origin === target.origin) continue;
    throw new UsageError("E_LOAD_FORBIDDEN", `The scenario of load ${name} leaves its target: ${url}`, {
      hint: "write a path at the target: /orders; another server is another load",
    });
  }
  const { duration, "ramp-up": rampUp, timeout, interval } = settings;
  const wrong = (message: string, hint: string) => new UsageError("E_LOAD_INPUT", message, { hint });
  if (duration <= 0 || duration - rampUp < interval) {
    const left = `A load of ${formatDuration(duration)} with a ramp-up of ${formatDuration(rampUp)} leaves nothing to measure`;
    throw wrong(left, `make it longer than the ramp-up by ${formatDuration(interval)} at least`);
  }
  if (timeout < 1000 || interval < 100)
    throw wrong("A timeout is 1s at least, an interval 100ms", "write timeout: 10s, interval: 1s");
  if (duration / interval > mostIntervals) {
    const hint = `write interval: ${formatDuration(Math.ceil(duration / mostIntervals / 1000) * 1000)}`;
    throw wrong(`The load would have more than ${mostIntervals} intervals`, hint);
  }
  const thresholds = settings.thresholds.map(parseLoadThreshold);
  const blind = thresholds.find(({ unit, value }) => unit === "duration" && value >= timeout);
  if (blind !== undefined) {
    const message = `"${blind.text}" cannot be seen: requests are given up after ${formatDuration(timeout)}`;
    throw wrong(message, "make the timeout of the load longer");
  }
  const program = settings.engine === "k6" ? await k6Program(environment.directory) : undefined;
  return { name, target, settings, thresholds, program };
}

/** k6 is in no package registry that ops is installed from: who wants it has it. */
async function k6Program(directory: string): Promise<string> {
  try {
    return await requireProgram("k6", directory);
  } catch {
    throw new UsageError("E_PROGRAM_MISSING", "No load was made: the program k6 is not on PATH", {
      hint: "install it (https://grafana.com/docs/k6/latest/set-up/install-k6/), or leave --engine k6 out",
    });
  }
}

/** Without one it is a GET of the target. */
function scenarioOf({ scenario, target }: LoadSettings): NonNullable<LoadSettings["scenario"]> {
  return scenario ?? [loadStepSchema.parse({ url: target })];
}

/**
 * What each user does, and how long an answer is waited for: a load with another digest is another load. Headers count as
 * they are written, so that a new token is not a new load.
 */
export function scenarioDigest(settings: LoadSettings): string {
  const steps = scenarioOf(settings).map(({ method, url, headers, body, expect, think }) => {
    const { pathname, search } = new URL(url, settings.target);
    const good = expect === undefined ? null : [expect].flat();
    return { method, path: `${pathname}${search}`, headers, body: body ?? null, expect: good, think };
  });
  return digest(canonicalJson({ steps, timeout: settings.timeout }));
}

/** With the secrets of the headers. Throws `E_SECRET`, `E_LOAD_INPUT`. */
export async function loadPlan(load: RequestedLoad, directory: string): Promise<LoadPlan> {
  const { target, settings, program } = load;
  const scenario = scenarioOf(settings);
  const steps = await Promise.all(
    scenario.map(async ({ method, url, headers, body, expect, think }): Promise<LoadStep> => {
      const { pathname, search } = new URL(url, target);
      return {
        name: `${method} ${pathname}`,
        method,
        path: `${pathname}${search}`,
        headers: legalHeaders(load.name, await revealHeaders(headers, directory)),
        ...(body === undefined ? {} : { body }),
        ...(expect === undefined ? {} : { expect: [expect].flat() }),
        thinkMs: think,
      };
    }),
  );
  return {
    engine: settings.engine,
    ...(program === undefined ? {} : { program }),
    origin: target.origin,
    steps,
    users: settings.users,
    durationMs: settings.duration,
    rampUpMs: settings["ramp-up"],
    timeoutMs: settings.timeout,
    intervalMs: settings.interval,
  };
}

/** As they would be sent: a line break in one would be a header, or a request, of its own. */
function legalHeaders(load: string, headers: Record<string, string>): Record<string, string> {
  try {
    new Headers(headers);
    return headers;
  } catch (error) {
    throw new UsageError("E_LOAD_INPUT", `A header in the scenario of load ${load} cannot be sent`, {
      cause: causeText(error)?.replace(/".*"/s, "its text"),
      hint: "look at its name and its value",
    });
  }
}
