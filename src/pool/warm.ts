import { z } from "zod";
import { formatDuration } from "../core/duration.ts";
import { OpsError, UsageError } from "../core/errors.ts";
import { duration, percentage } from "../core/schema.ts";
import type { BackendState, ServerState } from "../haproxy/backend-state.ts";
import type { OperationContext } from "../run/context.ts";
import { defineOperation, type Report } from "../run/operation.ts";
import { pause } from "../run/pause.ts";
import { isUsable, openPool, type Pool, poolLocks, requireServer } from "./pool.ts";
import {
  observeServer,
  outputOf,
  refuseServerDrift,
  renderServer,
  restoreServer,
  type ServerBefore,
  serverFields,
  serverOutput,
} from "./server-change.ts";

const input = z.strictObject({
  ...serverFields,
  over: duration("How long it takes from the first requests to the whole weight").prefault("60s"),
  steps: z.int().min(2).max(100).default(10).describe("In how many equal steps"),
  to: z
    .int("must be a whole number")
    .min(1, "must be from 1 to 256")
    .max(256, "must be from 1 to 256")
    .optional()
    .describe("The whole weight; default: the one it has, or that of haproxy.cfg where it has 0"),
  "error-rate": percentage("Bad requests of the server that end it").prefault("5%"),
  wait: duration("How long it may take to be well, before the first step").prefault("30s"),
});
type WarmInput = z.output<typeof input>;

type WarmBefore = ServerBefore & { target: number };

const checkpoint = z.object({ step: z.int().min(1) });

export const warm = defineOperation({
  name: "pool.warm",
  summary: "Let a cold server take requests little by little, and take it out again when it does badly",
  example: "pool warm web-2 --over 2m",
  effect: "change",
  input,
  positional: ["server"],
  output: serverOutput,
  targets: ({ pool }, environment) => poolLocks(environment, pool),
  async observe(context, { pool: poolName, server, to, steps }): Promise<WarmBefore> {
    const { pool, state, before } = await observeServer(context, poolName, server);
    const { weight, configuredWeight } = requireServer(pool, state, server);
    const target = to ?? (weight > 0 ? weight : configuredWeight);
    if (target >= steps) return { ...before, target };
    throw new UsageError("E_WARM_WEIGHT", `A weight of ${target} cannot grow in ${steps} steps`, {
      hint: `write the pool's weights larger first: ops pool strategy weighted --weights ${state.servers.map((each) => `${each.name}=100`).join(" ")}`,
    });
  },
  plan({ pool, server, admin, weight, target }, { over, steps }) {
    const summary = `let ${server} take requests in ${steps} steps over ${formatDuration(over)}`;
    const [from, to] = [
      { state: admin, weight },
      { state: "ready", weight: target },
    ];
    return [{ target: `pool:${pool}`, action: "update", summary, from, to }];
  },
  async apply(context, given, before, report) {
    const pool = openPool(context.environment, before.pool);
    const ramp = new Ramp(context, given, before, pool, report);
    refuseForeign(requireServer(pool, await pool.read(context.signal), before.server), given, before);
    for (let step = checkpoint.safeParse(report.last).data?.step ?? 1; step <= given.steps; step += 1) {
      await ramp.climb(step);
    }
    return outputOf(before.pool, await pool.read(context.signal), before.server);
  },
  async undo(context, _input, before) {
    return restoreServer(context, before);
  },
  render: renderServer,
});

/** Milliseconds between two looks. */
const lookEvery = 200;
/** A rate of fewer requests than this is none. */
const enoughRequests = 20;

class Ramp {
  private readonly context: OperationContext;
  private readonly input: WarmInput;
  private readonly before: WarmBefore;
  private readonly pool: Pool;
  private readonly report: Report;
  /** Where counting began; undefined before the server was well. */
  private start: { readonly process: string; readonly server: ServerState } | undefined;

  constructor(context: OperationContext, input: WarmInput, before: WarmBefore, pool: Pool, report: Report) {
    this.context = context;
    this.input = input;
    this.before = before;
    this.pool = pool;
    this.report = report;
  }

  /** Sets the weight of one step and watches the server until the next. Throws after the server is safe. */
  async climb(step: number): Promise<void> {
    const { context, input: given, before, pool, report } = this;
    const { server } = before;
    const weight = weightAt(given, before, step);
    await report.checkpoint({ step });
    let state = await pool.set({ [server]: { admin: "ready", weight } }, context.signal);
    if (this.start === undefined) state = await this.untilWell(state, weight);
    this.start ??= { process: state.process, server: requireServer(pool, state, server) };
    // The last step is the whole weight: nothing follows it.
    const end = context.clock.elapsed() + (step === given.steps ? 0 : given.over / (given.steps - 1));
    for (;;) {
      const present = requireServer(pool, state, server);
      refuseServerDrift(present, { ...before, admin: "ready", weight }, {});
      const problem = this.problemOf(present, state.process);
      if (problem !== undefined) await this.giveUp(problem);
      report.progress({
        message: `${server} has weight ${weight} of ${before.target}`,
        done: step,
        total: given.steps,
      });
      const left = end - context.clock.elapsed();
      if (left <= 0) return;
      await pause(context, Math.min(lookEvery, left));
      state = await pool.read(context.signal);
    }
  }

  private async untilWell(first: BackendState, weight: number): Promise<BackendState> {
    const { context, input: given, before, pool, report } = this;
    const end = context.clock.elapsed() + given.wait;
    for (let state = first; ; state = await pool.read(context.signal)) {
      const present = requireServer(pool, state, before.server);
      refuseServerDrift(present, { ...before, admin: "ready", weight }, {});
      if (present.health === "up" || present.health === "unchecked") return state;
      if (context.clock.elapsed() >= end) {
        await this.giveUp(
          `${before.server} is still ${present.status} (${present.check}) after ${formatDuration(given.wait)}`,
        );
      }
      report.progress({
        message: `waiting until ${before.server} is well: ${present.status} (${present.check})`,
      });
      await pause(context, lookEvery);
    }
  }

  private problemOf(present: ServerState, process: string): string | undefined {
    const { start, before, input: given } = this;
    if (present.health === "down") return `${before.server} is ${present.status} (${present.check})`;
    if (start === undefined) return undefined;
    // A restarted HAProxy counts from zero.
    const earlier = start.process === process ? start.server : undefined;
    const requests = present.requests - (earlier?.requests ?? 0);
    const bad = Math.min(requests, marks(present) - (earlier === undefined ? 0 : marks(earlier)));
    if (requests < enoughRequests || (100 * bad) / requests <= given["error-rate"]) return undefined;
    return `${before.server} answered ${bad} of ${requests} requests badly (limit ${given["error-rate"]}%)`;
  }

  /** Back to what it was; a server that took requests before is drained. The last one is left as it is. */
  private async giveUp(problem: string): Promise<never> {
    const { context, before, pool } = this;
    const { server, admin, weight } = before;
    const others = (await pool.read(context.signal)).servers.filter((each) => each.name !== server);
    const canGo = others.some(isUsable);
    const wanted = admin === "ready" ? ("drain" as const) : admin;
    if (canGo) await pool.set({ [server]: { admin: wanted, weight } }, context.signal);
    const what = canGo
      ? `it is ${wanted === "maint" ? "in maintenance" : "drained"}`
      : "it stays: there is no other server";
    throw new OpsError("E_WARM_ABORTED", problem, {
      hint: `${what}; see its own logs`,
      details: { server, problem, state: canGo ? wanted : "ready" },
      retryable: false,
    });
  }
}

function marks(server: ServerState): number {
  return (
    server.serverErrors +
    server.connectionErrors +
    server.responseErrors +
    server.retries +
    server.redispatches
  );
}

function weightAt({ steps }: WarmInput, { target }: WarmBefore, step: number): number {
  return Math.max(1, Math.round((target * step) / steps));
}

/** Throws `E_POOL_DRIFT` where the server is neither as it was seen nor at a step of this operation. */
function refuseForeign(present: ServerState, given: WarmInput, before: WarmBefore): void {
  const steps = Array.from({ length: given.steps }, (_, index) => weightAt(given, before, index + 1));
  const isStep = present.admin === "ready" && steps.includes(present.weight);
  if (!isStep) refuseServerDrift(present, before, { admin: "ready" });
}
