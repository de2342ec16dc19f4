import { z } from "zod";
import type { RouteTarget } from "../config/environment.ts";
import { formatPercent } from "../core/percent.ts";
import { name, percentage } from "../core/schema.ts";
import { readStateFile, serverState } from "../haproxy/server-state.ts";
import { liveness } from "../process/live-process.ts";
import type { Health } from "../rollout/reading.ts";
import { formatShares, sharesOf, type Weights } from "../rollout/shares.ts";
import { type CheckLimits, defineCheck, type Judgement } from "../run/check.ts";
import { judgeByLimits } from "../run/limits.ts";
import { CanaryFiles, type CanaryRecord } from "./canary-record.ts";
import { openRoute, requireVersion } from "./route.ts";

const input = z.strictObject({
  route: name("The route; default: the only one, or the one called web").optional(),
  shares: z
    .record(name("A version"), percentage("Its share of the traffic"))
    .describe("Shares that versions must have")
    .default({}),
  tolerance: percentage("How far a share may be off, in percentage points").prefault("1%"),
  canary: z
    .enum(["none", "allow"])
    .default("none")
    .describe("none: no canary may be under way, or left behind by a process that died"),
  health: z
    .enum(["check", "skip"])
    .default("check")
    .describe("skip: do not ask how versions are, where the balancer does not tell"),
});

type TrafficEvidence = {
  route: string;
  /** `blue 90%, green 10%` */
  shares: string;
  versions: { version: string; server: string; share: number; health: Health; status: string }[];
  canary: { version: string; run: string | null; actor: string; since: string; state: string } | null;
  /** Of HAProxy: whether a reload brings these weights back; null where nothing keeps them. */
  kept: boolean | null;
};

/** The value is the share of the traffic that goes to versions that are up. */
export const routeCheck = defineCheck({
  kind: "traffic",
  summary:
    "Whether a route is at rest: every version with traffic is up, no canary under way, shares as they should be",
  why: "A change on top of a half-done shift, or of a version that is ill, cannot be told from its own faults.",
  remedy: "See ops traffic status; finish or abort the canary, or shift the traffic where it should be.",
  limitUnits: ["percent"],
  input,

  async measure(context, settings) {
    const { target, driver } = openRoute(context.environment, settings.route);
    for (const version of Object.keys(settings.shares)) requireVersion(target, version);
    const states = await driver.states(context.signal);
    const weights: Weights = Object.fromEntries(states.map((each) => [each.version, each.weight]));
    const shares = sharesOf(weights);
    const record = await new CanaryFiles(context, target.name).read();
    const evidence: TrafficEvidence = {
      route: target.name,
      shares: formatShares(weights),
      versions: states.map(({ version, server, health, status }) => {
        return { version, server, share: shares[version] ?? 0, health, status };
      }),
      canary: record === undefined ? null : canaryOf(record),
      kept: await isKept(target, context.signal),
    };
    const up = evidence.versions.filter(({ health }) => health === "up" || health === "failing");
    const value = up.reduce((sum, { share }) => sum + share, 0);
    return { value, shown: `route ${target.name}: ${evidence.shares}`, evidence };
  },

  judge: ({ value, shown, evidence }, settings, limits) =>
    judge({ value: Number(value), shown, seen: evidence as TrafficEvidence }, settings, limits),
});

function judge(
  { value, shown, seen }: { readonly value: number; readonly shown: string; readonly seen: TrafficEvidence },
  { shares, tolerance, canary, health }: z.output<typeof input>,
  limits: CheckLimits,
): Judgement {
  const serving = seen.versions.filter(({ share }) => share > 0);
  const called = ({ version, share, status }: TrafficEvidence["versions"][number]) =>
    `${version} has ${formatPercent(share)} and is ${status}`;
  const of = (which: Health) => (health === "skip" ? [] : serving.filter((each) => each.health === which));
  const off = seen.versions.filter(
    ({ version, share }) => shares[version] !== undefined && Math.abs(share - shares[version]) > tolerance,
  );
  const problems = [
    ...(serving.length === 0 ? ["no version has traffic"] : []),
    ...of("down").map(called),
    ...(seen.canary !== null && canary === "none" ? [canaryShown(seen.canary)] : []),
    ...off.map(
      ({ version, share }) =>
        `${version} has ${formatPercent(share)}, and must have ${formatPercent(shares[version] ?? 0)}`,
    ),
  ];
  if (problems.length > 0) return { status: "fail", reason: `route ${seen.route}: ${problems.join("; ")}` };
  const untold = of("unknown");
  if (untold.length > 0) {
    const versions = untold.map((each) => each.version).join(" and ");
    const reason = `${shown}; the balancer does not tell how ${versions} is: ask it yourself, and add "health: skip"`;
    return { status: "unknown", reason };
  }
  const judged = judgeByLimits(value, shown, health === "skip" ? {} : limits);
  if (judged.status !== "pass") return judged;
  const doubts = [
    ...of("failing").map(called),
    ...(seen.kept === false ? ["a reload of HAProxy brings back other weights"] : []),
  ];
  return doubts.length === 0 ? judged : { status: "warn", reason: `${shown}; ${doubts.join("; ")}` };
}

function canaryOf({ version, run, actor, since, process, paused }: CanaryRecord): TrafficEvidence["canary"] {
  const state = liveness(process) === "gone" ? "left behind" : paused === null ? "under way" : "paused";
  return { version, run, actor, since, state };
}

function canaryShown({ version, actor, since, state }: NonNullable<TrafficEvidence["canary"]>): string {
  return `a canary of ${version} by ${actor} is ${state} since ${since.slice(0, 19)}Z`;
}

/** Whether the state file that HAProxy reads at a reload has the weights of now. */
async function isKept(target: RouteTarget, signal: AbortSignal): Promise<boolean | null> {
  if (target.driver !== "haproxy" || target.stateFile === undefined) return null;
  const { socket, backend, versions, stateFile } = target;
  const state = await serverState(socket, backend, Object.values(versions), { signal });
  // Without a file HAProxy has the configured weights, which is what an empty one says.
  const written = (await readStateFile(stateFile)) ?? state.split("\n").slice(0, 2).concat("").join("\n");
  return written === state;
}
