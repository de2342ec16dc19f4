import { z } from "zod";
import type { LoadSettings } from "../config/load-schema.ts";
import { formatDuration, parseDuration } from "../core/duration.ts";
import { OpsError } from "../core/errors.ts";
import { duration, name } from "../core/schema.ts";
import { showUrl } from "../http/client.ts";
import { type LoadResult, LoadResults } from "../measured-series/load-result.ts";
import { type Check, defineCheck } from "../run/check.ts";
import { judgeByLimits } from "../run/limits.ts";
import { scenarioDigest } from "./request.ts";
import { shownTime } from "./verdict.ts";

/** Clocks of two machines may differ a little. */
const clockTolerance = parseDuration("5m");

type LoadEvidence = {
  readonly id: string;
  readonly made: string;
  readonly ageMs: number;
  readonly verdict: "pass" | "fail" | "unknown" | "none";
  readonly interrupted: boolean;
  /** How it was made easier than the load is configured; null where it was not. */
  readonly weaker: string | null;
  readonly version: string | null;
  readonly commit: string | null;
  readonly thresholds: { threshold: string; status: string; reason: string }[];
  readonly requests: number;
  readonly throughput: number;
};

/** The newest result counts, whatever it is: an older one that passed is no excuse for a newer one that did not. */
const load = defineCheck({
  kind: "load",
  summary: "Whether the newest load is fresh, of this version, and kept its thresholds",
  why: "A release that was never under load meets its first one in production.",
  remedy: "Make the load with ops load run, and see what was slow with ops load show.",
  limitUnits: ["duration"],
  input: z.strictObject({
    load: name("The load"),
    "max-age": duration("How old its newest result may be").prefault("24h"),
    version: z.string().optional().describe("The version that must have been loaded"),
    commit: z
      .string()
      .regex(/^[0-9a-f]{7,64}$/, "must be the hash of a commit, seven digits or more")
      .optional()
      .describe("The commit that it must have been made of"),
  }),

  async measure(context, input) {
    const settings = context.environment.load(input.load);
    const results = new LoadResults(context.stateDirectory, context.environment.name);
    const found = await results.newest(input.load);
    if (found === undefined) {
      throw new OpsError("E_LOAD_RESULT", `the load ${input.load} was never made`, {
        hint: `make it: ops load run ${input.load}`,
      });
    }
    const evidence: LoadEvidence = {
      id: found.id,
      made: found.startedAt,
      ageMs: context.clock.now().getTime() - Date.parse(found.endedAt),
      verdict: found.verdict,
      interrupted: found.interrupted,
      weaker: weakerThan(settings, found),
      version: found.version,
      commit: found.commit,
      thresholds: found.thresholds.map(({ threshold, status, reason }) => ({ threshold, status, reason })),
      requests: found.figures.requests,
      throughput: found.figures.throughput,
    };
    const { p95 } = found.figures.latency;
    const shown = `p95 ${p95 === null ? "unknown" : shownTime(p95)} with ${found.users} users`;
    return { value: p95, shown, evidence };
  },

  judge({ value, shown, evidence }, input, limits) {
    const { made, ageMs, verdict, interrupted, weaker, version, commit, thresholds } =
      evidence as LoadEvidence;
    const unknown = (reason: string) => ({ status: "unknown" as const, reason });
    const missed = thresholds
      .filter(({ status }) => status === "fail")
      .map(({ reason, threshold }) => `${threshold}: ${reason}`);
    if (input.version !== undefined && input.version !== version)
      return unknown(
        `the newest load was of ${version === null ? "no named version" : `version ${version}`}, not ${input.version}`,
      );
    if (input.commit !== undefined && commit?.startsWith(input.commit) !== true)
      return unknown(
        `the newest load was of ${commit === null ? "no known commit" : `commit ${commit.slice(0, 12)}`}, not ${input.commit}`,
      );
    if (ageMs < -clockTolerance)
      return unknown(`the newest load is from ${formatDuration(-ageMs)} in the future: clocks differ`);
    if (ageMs > input["max-age"])
      return unknown(
        `the newest load is ${formatDuration(ageMs)} old (${made}), ${formatDuration(input["max-age"])} is allowed`,
      );
    if (interrupted) return unknown("the newest load was ended early");
    if (verdict === "fail") return { status: "fail", reason: missed.join("; ") };
    if (weaker !== null) return unknown(`the newest load was not made as it is configured: ${weaker}`);
    if (verdict === "unknown") return unknown(thresholds.map(({ reason }) => reason).join("; "));
    const hasLimits = limits.fail !== undefined || limits.warn !== undefined;
    if (verdict === "none" && !hasLimits)
      return unknown("the load has no thresholds, and the check has no limit for p95");
    const reason = `${shown}, ${formatDuration(Math.max(0, ageMs))} ago`;
    if (!hasLimits) return { status: "pass", reason };
    return value === null
      ? unknown("no request was answered well")
      : judgeByLimits(Number(value), reason, limits);
  },
});

/** A load of one user for a second proves nothing about a hundred, nor does one of other requests, or held to nothing. */
function weakerThan(settings: LoadSettings, found: LoadResult): string | null {
  const target = showUrl(new URL(settings.target).href);
  const kept = new Set(found.thresholds.map(({ threshold }) => threshold));
  const missing = settings.thresholds.map((each) => each.trim()).filter((each) => !kept.has(each));
  if (found.target !== target) return `on ${found.target}, not ${target}`;
  if (found.users < settings.users) return `by ${found.users} users, not ${settings.users}`;
  if (found.durationMs < settings.duration)
    return `for ${formatDuration(found.durationMs)}, not ${formatDuration(settings.duration)}`;
  const judged = settings.duration - settings["ramp-up"];
  if (found.durationMs - found.rampUpMs < judged)
    return `judged for ${formatDuration(found.durationMs - found.rampUpMs)} after its ramp-up, not ${formatDuration(judged)}`;
  if (found.engine !== settings.engine) return `by ${found.engine}, not ${settings.engine}`;
  if (found.scenario !== scenarioDigest(settings)) return "with another scenario or timeout";
  return missing.length === 0 ? null : `without the threshold ${missing.join(", ")}`;
}

export const checks: readonly Check[] = [load];
