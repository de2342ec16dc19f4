import type { Environment } from "../config/environment.ts";
import { formatDuration } from "../core/duration.ts";
import { OpsError } from "../core/errors.ts";
import type { Check } from "../run/check.ts";
import { configuredChecks } from "../run/configured-check.ts";
import { databaseFindings } from "./database.ts";
import { freeSpace, writableDirectory } from "./directory.ts";
import { type Finding, missing, missingBecause, ok } from "./finding.ts";
import { metricsFindings } from "./metrics.ts";
import { notificationFindings, outboxFindings } from "./notification.ts";
import { poolFinding } from "./pool.ts";
import { nodeVersion, postgresPrograms } from "./programs.ts";
import { routeFinding } from "./route.ts";
import { storeFindings } from "./store.ts";

export { type Finding, needsMending, renderFindings } from "./finding.ts";

export interface DiagnoseOptions {
  /** Undefined where the configuration could not be read; then `configError` says why. */
  readonly environment?: Environment | undefined;
  readonly configError?: unknown;
  /** Absolute path of the folder with the journal. */
  readonly stateDirectory?: string | undefined;
  /** The kinds of check that gates may use. */
  readonly checks?: ReadonlyMap<string, Check>;
  /** Milliseconds for each probe. Default: 15 seconds. */
  readonly timeout?: number;
  readonly signal?: AbortSignal | undefined;
}

const defaultTimeout = 15_000;

/**
 * Looks at everything that the configuration needs, all at once, and changes nothing: a probe file in each store's
 * folder, or a probe object in its bucket, is removed again. Throws only the signal's reason; whatever is wrong is a finding.
 */
export async function diagnose(options: DiagnoseOptions = {}): Promise<Finding[]> {
  const { environment, stateDirectory } = options;
  const databases = (environment?.names("databases") ?? []).map(async (name) => {
    let serverMajor: number | undefined;
    const findings = await probe(options, `database ${name}`, async (signal) => {
      if (environment === undefined) return [];
      const seen = await databaseFindings(environment, name, signal);
      serverMajor = seen.serverMajor;
      return seen.findings;
    });
    return { findings, serverMajor };
  });
  const programs = Promise.all(databases).then((seen) => {
    const majors = seen.flatMap((each) => each.serverMajor ?? []);
    const newest = majors.length === 0 ? undefined : Math.max(...majors);
    return probe(options, "PostgreSQL programs", () => postgresPrograms(newest));
  });
  const targets = environment === undefined ? [] : targetProbes(options, environment);
  const state =
    stateDirectory === undefined
      ? []
      : [
          probe(options, "state folder", async () => [
            await writableDirectory("state folder", stateDirectory),
            await freeSpace("disk of state", stateDirectory),
            ...(environment === undefined ? [] : outboxFindings(environment, stateDirectory, new Date())),
          ]),
        ];
  const all = await Promise.all([
    [nodeVersion(process.versions.node)],
    programs,
    configuration(options),
    ...state,
    ...databases.map(async (each) => (await each).findings),
    ...targets,
  ]);
  return all.flat();
}

function targetProbes(options: DiagnoseOptions, environment: Environment): Promise<Finding[]>[] {
  return [
    ...environment
      .names("stores")
      .map((name) => probe(options, `store ${name}`, (signal) => storeFindings(environment, name, signal))),
    ...environment
      .names("routes")
      .map((name) =>
        probe(options, `route ${name}`, async (signal) => [
          await routeFinding(environment, name, signal),
          ...(await metricsFindings(environment.route(name), signal)),
        ]),
      ),
    ...environment
      .names("pools")
      .map((name) =>
        probe(options, `pool ${name}`, async (signal) => [await poolFinding(environment, name, signal)]),
      ),
    ...environment
      .names("notifications")
      .map((name) =>
        probe(options, `notification ${name}`, (signal) => notificationFindings(environment, name, signal)),
      ),
    ...environment
      .names("gates")
      .map(async (name) =>
        options.checks === undefined ? [] : [gateFinding(environment, name, options.checks)],
      ),
  ];
}

function configuration({ environment, configError }: DiagnoseOptions): Finding[] {
  const subject = "configuration";
  if (configError !== undefined) {
    return [missingBecause(subject, configError, "correct .opsrc; .opsrc.example has every key")];
  }
  if (environment === undefined) {
    return [missing(subject, "there is no .opsrc", "cp .opsrc.example .opsrc")];
  }
  return [ok(subject, `environment ${environment.name}`)];
}

function gateFinding(environment: Environment, name: string, kinds: ReadonlyMap<string, Check>): Finding {
  const subject = `gate ${name}`;
  try {
    const { length } = configuredChecks(name, environment.gate(name), kinds);
    return ok(subject, `${length} ${length === 1 ? "check is" : "checks are"} written correctly`);
  } catch (error) {
    return missingBecause(subject, error, `correct "gates: ${name}:" in .opsrc`);
  }
}

/** What does not answer in time is a finding like any other. */
async function probe(
  { timeout = defaultTimeout, signal }: DiagnoseOptions,
  subject: string,
  look: (signal: AbortSignal) => Promise<Finding[]>,
): Promise<Finding[]> {
  const over = new AbortController();
  const timer = setTimeout(() => {
    over.abort(new OpsError("E_PROBE_TIMEOUT", `no answer within ${formatDuration(timeout)}`));
  }, timeout);
  const bounded = signal === undefined ? over.signal : AbortSignal.any([signal, over.signal]);
  const ended = new Promise<never>((_, reject) => {
    bounded.addEventListener("abort", () => reject(bounded.reason), { once: true });
  });
  try {
    return await Promise.race([look(bounded), ended]);
  } catch (error) {
    if (signal?.aborted === true) throw signal.reason;
    return [missingBecause(subject, error, "see whether it is running and can be reached from here")];
  } finally {
    clearTimeout(timer);
  }
}
