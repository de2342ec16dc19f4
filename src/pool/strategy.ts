import { z } from "zod";
import { UsageError } from "../core/errors.ts";
import { name } from "../core/schema.ts";
import { suggestion } from "../core/suggestion.ts";
import type { BackendState } from "../haproxy/backend-state.ts";
import type { Change } from "../run/operation.ts";
import { defineOperation } from "../run/operation.ts";
import { openPool, type Pool, poolLocks } from "./pool.ts";
import { type Section, sameSection, sectionFor } from "./section.ts";
import { changeSection, observeSection, requireConfiguration, type SectionBefore } from "./section-change.ts";
import { type StrategyName, strategies, strategyName } from "./strategy-name.ts";
import { refuseWeightDrift, type Weights, weightsOf } from "./weights.ts";

const input = z.strictObject({
  strategy: z
    .enum(strategies)
    .describe(
      "How the server of a request is chosen: in turn, in turn by weight, the one with the fewest requests, or the user's own",
    ),
  pool: name("The pool; default: the only one, or the one called web").optional(),
  weights: z
    .record(name("A server"), z.coerce.number().int("must be a whole number").min(1).max(256))
    .optional()
    .describe("Only for weighted: server=weight, 1 to 256; the others keep theirs"),
});

type StrategyBefore = {
  pool: string;
  /** What runs, in our words. */
  strategy: string;
  weights: Weights;
  /** Null where all of it can be changed at run time. */
  section: SectionBefore | null;
};

export const strategy = defineOperation({
  name: "pool.strategy",
  summary: "Choose how a pool's requests are spread over its servers",
  example: "pool strategy least-connections --pool web",
  effect: "change",
  input,
  positional: ["strategy"],
  output: z.object({
    pool: z.string(),
    strategy: z.string().describe("What runs now"),
    weights: z.record(z.string(), z.number()),
    reloaded: z.boolean().describe("Whether HAProxy had to be reloaded"),
  }),
  targets: ({ pool }, environment) => {
    const { configuration } = environment.pool(pool);
    const file = configuration === undefined ? [] : [`haproxy:${configuration.file}`];
    return [...poolLocks(environment, pool), ...file];
  },
  async observe(context, { pool: poolName, strategy: wanted, weights }): Promise<StrategyBefore> {
    const pool = openPool(context.environment, poolName);
    const state = await pool.read(context.signal);
    refuseWeights(pool, state, wanted, weights);
    const isRunning = runs(wanted, state);
    const section =
      pool.target.configuration === undefined && isRunning
        ? null
        : await observeSection(requireConfiguration(pool, "its strategy"), state);
    return { pool: pool.target.name, strategy: strategyName(state), weights: weightsOf(state), section };
  },
  plan(before, { strategy: wanted, weights }) {
    const changes: Change[] = [];
    const target = `pool:${before.pool}`;
    const { section } = before;
    if (section !== null && !sameSection(wantedSection(before, wanted), section.section)) {
      const summary = `write ${wanted} into ${section.file} and reload HAProxy`;
      changes.push({ target, action: "update", summary, from: before.strategy, to: wanted });
    } else if (section?.loaded === false) {
      changes.push({
        target,
        action: "run",
        summary: `reload HAProxy, which has not loaded ${section.file} yet`,
      });
    }
    const goal = wantedWeights(before, wanted, weights);
    if (JSON.stringify(goal) !== JSON.stringify(before.weights)) {
      const summary = wanted === "weighted" ? "set the weights" : "give every server the same weight";
      changes.push({ target, action: "update", summary, from: before.weights, to: goal });
    }
    return changes;
  },
  async apply(context, { strategy: wanted, weights }, before, report) {
    const pool = openPool(context.environment, before.pool);
    const { section } = before;
    let outcome: "reloaded" | "unchanged" = "unchanged";
    if (section !== null) {
      const lines = wantedSection(before, wanted);
      const configured = requireConfiguration(pool, "its strategy");
      const own = [section.section, lines];
      outcome = await changeSection(context, configured, section, lines, own, report);
    }
    const goal = wantedWeights(before, wanted, weights);
    refuseWeightDrift(before.pool, await pool.read(context.signal), [before.weights, goal]);
    const settings = Object.fromEntries(Object.entries(goal).map(([server, weight]) => [server, { weight }]));
    const state = await pool.set(settings, context.signal);
    return {
      pool: before.pool,
      strategy: wanted === "weighted" && runs(wanted, state) ? wanted : strategyName(state),
      weights: weightsOf(state),
      reloaded: outcome === "reloaded",
    };
  },
  async undo(context, { strategy: wanted }, before, report) {
    const pool = openPool(context.environment, before.pool);
    const { section } = before;
    if (section !== null) {
      const configured = requireConfiguration(pool, "its strategy");
      const own = [section.section, wantedSection(before, wanted)];
      await changeSection(context, configured, section, section.section, own, report);
    }
    const { weights } = before;
    const settings = Object.fromEntries(
      Object.entries(weights).map(([server, weight]) => [server, { weight }]),
    );
    await pool.set(settings, context.signal);
    return { undone: true, note: `pool ${before.pool}: ${before.strategy} again` };
  },
  render({ pool, strategy: now, weights, reloaded }) {
    const shown = Object.entries(weights).map(([server, weight]) => `${server} ${weight}`);
    return `pool ${pool}: ${now} (${shown.join(", ")})${reloaded ? ", HAProxy reloaded" : ""}`;
  },
});

/** Whether the running HAProxy needs nothing but weights for it. */
function runs(strategy: StrategyName, { algorithm, cookie }: BackendState): boolean {
  if (strategy === "least-connections") return algorithm === "leastconn" && cookie === null;
  return algorithm === "roundrobin" && (cookie !== null) === (strategy === "sticky");
}

function wantedSection({ pool, section }: StrategyBefore, wanted: StrategyName): Section {
  if (section === null) throw new Error("nothing is written for what can be changed at run time");
  return sectionFor(wanted, `ops-${pool}`, section.section);
}

/** A server with weight 0 was taken out by somebody: no strategy gives it requests. */
function wantedWeights(
  { weights }: StrategyBefore,
  wanted: StrategyName,
  given: Weights | undefined,
): Weights {
  if (wanted === "weighted") return { ...weights, ...given };
  if (wanted !== "round-robin") return weights;
  const same = Math.max(...Object.values(weights));
  return Object.fromEntries(
    Object.entries(weights).map(([server, weight]) => [server, weight === 0 ? 0 : same]),
  );
}

function refuseWeights(
  { target }: Pool,
  { servers }: BackendState,
  strategy: StrategyName,
  given: Weights | undefined,
): void {
  if (strategy !== "weighted") {
    if (given === undefined) return;
    throw new UsageError("E_USAGE", `The strategy ${strategy} takes no weights`, {
      hint: "leave --weights out, or choose weighted",
    });
  }
  if (given === undefined) {
    throw new UsageError("E_USAGE", "The strategy weighted needs the weights", {
      hint: `add --weights ${servers.map(({ name: server, weight }) => `${server}=${weight}`).join(" ")}`,
    });
  }
  const known = servers.map(({ name: server }) => server);
  const stranger = Object.keys(given).find((server) => !known.includes(server));
  if (stranger === undefined) return;
  throw new UsageError("E_SERVER", `The pool ${target.name} has no server "${stranger}"`, {
    hint: suggestion(stranger, known),
  });
}
