import { z } from "zod";
import { formatDuration } from "../core/duration.ts";
import { OpsError } from "../core/errors.ts";
import { duration } from "../core/schema.ts";
import { defineOperation } from "../run/operation.ts";
import { pause } from "../run/pause.ts";
import { openPool, poolLocks, requireServer } from "./pool.ts";
import {
  observeServer,
  outputOf,
  renderServer,
  restoreServer,
  type ServerBefore,
  serverFields,
  serverOutput,
  setServer,
} from "./server-change.ts";

/** Milliseconds between two looks. */
const lookEvery = 200;

export const enable = defineOperation({
  name: "pool.enable",
  summary: "Let a server take requests again, and wait until its health checks pass",
  example: "pool enable web-2",
  effect: "change",
  input: z.strictObject({
    ...serverFields,
    wait: duration("How long it may take to be well; 0s: do not wait").prefault("30s"),
  }),
  positional: ["server"],
  output: serverOutput,
  targets: ({ pool }, environment) => poolLocks(environment, pool),
  async observe(context, { pool, server }): Promise<ServerBefore> {
    return (await observeServer(context, pool, server)).before;
  },
  plan({ pool, server, admin, health }) {
    const target = `pool:${pool}`;
    if (admin !== "ready") {
      const summary = `let ${server} take requests again`;
      return [{ target, action: "update", summary, from: admin, to: "ready" }];
    }
    if (health !== "down") return [];
    return [{ target, action: "run", summary: `wait until ${server} is well` }];
  },
  async apply(context, { wait }, before, report) {
    const { pool: poolName, server } = before;
    let state = await setServer(context, before, { admin: "ready" }, "also-last");
    const pool = openPool(context.environment, poolName);
    const end = context.clock.elapsed() + wait;
    for (;;) {
      const { health, status, check, weight } = requireServer(pool, state, server);
      if (health !== "down" || wait === 0) {
        if (weight === 0) report.log(`${server} has weight 0 and so takes no requests: ops pool weight`);
        return outputOf(poolName, state, server);
      }
      if (context.clock.elapsed() >= end) {
        throw new OpsError(
          "E_SERVER_DOWN",
          `${server} is still ${status} (${check}) after ${formatDuration(wait)}`,
          {
            hint: "HAProxy sends it requests as soon as its health checks pass; see its own logs",
            details: { server, status, check },
          },
        );
      }
      report.progress({ message: `${server} may take requests; it is ${status} (${check})` });
      await pause(context, lookEvery);
      state = await pool.read(context.signal);
    }
  },
  async undo(context, _input, before) {
    return restoreServer(context, before);
  },
  render: renderServer,
});
