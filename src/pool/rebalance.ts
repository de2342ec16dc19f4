import { z } from "zod";
import { counted } from "../core/counted.ts";
import { formatPercent } from "../core/percent.ts";
import { duration, name, percentage } from "../core/schema.ts";
import type { OperationContext } from "../run/context.ts";
import { defineOperation } from "../run/operation.ts";
import { pause } from "../run/pause.ts";
import { balancedWeights, type Loads } from "./balance.ts";
import { isUsable, openPool, type Pool, poolLocks } from "./pool.ts";
import { formatWeights, refuseWeightDrift, type Weights, weightsOf } from "./weights.ts";

const weightBound = z
  .int("must be a whole number")
  .min(1, "must be from 1 to 256")
  .max(256, "must be from 1 to 256");

const input = z.strictObject({
  pool: name("The pool; default: the only one, or the one called web").optional(),
  measure: duration("How long the load is measured, before each round")
    .refine((time) => time > 0, "must be above 0")
    .prefault("5s"),
  step: percentage("The most by which a weight changes in one round")
    .refine((step) => step > 0, "must be above 0%")
    .prefault("20%"),
  tolerance: percentage("How far a server's load may be from the mean").prefault("10%"),
  rounds: z.int().min(1).max(100).default(1).describe("How often it is measured and set, at most"),
  minimum: weightBound.default(1).describe("No weight falls below it"),
  maximum: weightBound.default(256).describe("No weight rises above it"),
});
type RebalanceInput = z.output<typeof input>;

type RebalanceBefore = {
  pool: string;
  weights: Weights;
  /** Requests that each server had on average. */
  loads: Loads;
};

const checkpoint = z.object({ round: z.number(), weights: z.record(z.string(), z.number()) });

export const rebalance = defineOperation({
  name: "pool.rebalance",
  summary: "Even out the servers' load by their weights, in bounded steps",
  example: "pool rebalance --rounds 5 --dry-run",
  effect: "change",
  input,
  output: z.object({
    pool: z.string(),
    rounds: z.number().describe("In which a weight was changed"),
    weights: z.record(z.string(), z.number()),
    loads: z
      .record(z.string(), z.number())
      .describe("Requests that each server had on average, measured last"),
  }),
  targets: ({ pool }, environment) => poolLocks(environment, pool),
  async observe(context, { pool: poolName, measure }): Promise<RebalanceBefore> {
    const pool = openPool(context.environment, poolName);
    const weights = weightsOf(await pool.read(context.signal));
    return { pool: pool.target.name, weights, loads: await measureLoads(context, pool, measure) };
  },
  // A load is never the same twice: what the weights would be is a note, which a plan's digest does not cover.
  plan({ pool }, { rounds, step }) {
    const often = rounds === 1 ? "" : `, ${rounds} times at most`;
    const summary = `even out the load by the servers' weights, by at most ${formatPercent(step)} each${often}`;
    return [{ target: `pool:${pool}`, action: "update", summary }];
  },
  notes({ weights, loads }, given) {
    const wanted = balancedWeights(weights, loads, limitsOf(given));
    const measured = `requests at once: ${formatLoads(loads)}`;
    return [
      sameWeights(weights, wanted)
        ? `${measured}; nothing to even out`
        : `${measured}; now that gives ${formatWeights(wanted)}`,
    ];
  },
  async apply(context, given, before, report) {
    const pool = openPool(context.environment, before.pool);
    const last = checkpoint.safeParse(report.last).data;
    let { loads } = before;
    let weights = last?.weights ?? balancedWeights(before.weights, loads, limitsOf(given));
    let present = last === undefined ? before.weights : weights;
    refuseWeightDrift(before.pool, await pool.read(context.signal), [before.weights, present, weights]);
    let round = last?.round ?? 1;
    if (last !== undefined) await setWeights(pool, weights, context.signal);
    while (!sameWeights(present, weights) || (last !== undefined && round < given.rounds)) {
      if (!sameWeights(present, weights)) {
        await report.checkpoint({ round, weights });
        await setWeights(pool, weights, context.signal);
        report.log(`round ${round}: ${formatWeights(weights)} (the load was ${formatLoads(loads)})`);
      }
      present = weights;
      if (round >= given.rounds) break;
      report.progress({ message: "measuring the load", done: round, total: given.rounds });
      loads = await measureLoads(context, pool, given.measure);
      refuseWeightDrift(before.pool, await pool.read(context.signal), [present]);
      weights = balancedWeights(present, loads, limitsOf(given));
      if (sameWeights(present, weights)) break;
      round += 1;
    }
    return {
      pool: before.pool,
      rounds: sameWeights(before.weights, present) ? 0 : round,
      weights: present,
      loads,
    };
  },
  async undo(context, _input, { pool: poolName, weights }) {
    await setWeights(openPool(context.environment, poolName), weights, context.signal);
    return { undone: true, note: `pool ${poolName}: ${formatWeights(weights)}` };
  },
  render({ pool, rounds, weights, loads }) {
    const what =
      rounds === 0 ? "nothing to even out" : `${formatWeights(weights)} after ${counted(rounds, "round")}`;
    return `pool ${pool}: ${what}; requests at once: ${formatLoads(loads)}`;
  },
});

/** Milliseconds between two looks. */
const lookEvery = 100;

/** Of the servers that took requests during all of it. */
async function measureLoads(context: OperationContext, pool: Pool, time: number): Promise<Loads> {
  const { clock } = context;
  const end = clock.elapsed() + time;
  const sums = new Map<string, number>();
  const left = new Set<string>();
  let looks = 0;
  for (;;) {
    for (const server of (await pool.read(context.signal)).servers) {
      if (!isUsable(server) || server.backup) left.add(server.name);
      sums.set(server.name, (sums.get(server.name) ?? 0) + server.sessions + server.queue);
    }
    looks += 1;
    if (clock.elapsed() >= end) break;
    await pause(context, Math.max(1, Math.min(lookEvery, end - clock.elapsed())));
  }
  const kept = [...sums].filter(([server]) => !left.has(server));
  return Object.fromEntries(kept.map(([server, sum]) => [server, Math.round((100 * sum) / looks) / 100]));
}

function limitsOf({ step, tolerance, minimum, maximum }: RebalanceInput) {
  return { step: step / 100, tolerance: tolerance / 100, minimum, maximum };
}

async function setWeights(pool: Pool, weights: Weights, signal: AbortSignal): Promise<void> {
  await pool.set(
    Object.fromEntries(Object.entries(weights).map(([server, weight]) => [server, { weight }])),
    signal,
  );
}

function sameWeights(a: Weights, b: Weights): boolean {
  return Object.keys({ ...a, ...b }).every((server) => a[server] === b[server]);
}

function formatLoads(loads: Loads): string {
  const parts = Object.entries(loads).map(([server, load]) => `${server} ${load.toFixed(1)}`);
  return parts.length === 0 ? "no server takes requests" : parts.join(", ");
}
