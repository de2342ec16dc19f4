import { z } from "zod";
import { formatDuration } from "../core/duration.ts";
import { OpsError } from "../core/errors.ts";
import { duration } from "../core/schema.ts";
import type { BackendState } from "../haproxy/backend-state.ts";
import type { OperationContext } from "../run/context.ts";
import { defineOperation, type Report } from "../run/operation.ts";
import { pause } from "../run/pause.ts";
import { openPool, poolLocks, refuseLast, requireServer } from "./pool.ts";
import {
  lastField,
  observeServer,
  outputOf,
  refuseServerDrift,
  renderServer,
  restoreServer,
  type ServerBefore,
  serverFields,
  serverOutput,
  setServer,
} from "./server-change.ts";

/** A server in maintenance takes less than a draining one: it stays so. */
const wanted = ({ admin }: ServerBefore) => ({ admin: admin === "maint" ? admin : ("drain" as const) });

export const drain = defineOperation({
  name: "pool.drain",
  summary: "Send a server no new requests, and wait until it has finished those it has",
  example: "pool drain web-2 --timeout 2m",
  effect: "change",
  input: z.strictObject({
    ...serverFields,
    timeout: duration("How long its requests may take; it stays drained when they take longer").prefault(
      "60s",
    ),
    last: lastField,
  }),
  positional: ["server"],
  output: serverOutput,
  targets: ({ pool }, environment) => poolLocks(environment, pool),
  async observe(context, { pool: poolName, server, last }): Promise<ServerBefore> {
    const { pool, state, before } = await observeServer(context, poolName, server);
    if (!last) refuseLast(pool, state, server);
    return before;
  },
  plan(before) {
    const { pool, server, admin, busy } = before;
    const target = `pool:${pool}`;
    if (admin === "ready") {
      const summary = `send ${server} no new requests, and wait for those it has`;
      return [{ target, action: "update", summary, from: admin, to: "drain" }];
    }
    if (busy === 0) return [];
    return [{ target, action: "run", summary: `wait for the requests that ${server} still has` }];
  },
  async apply(context, { timeout, last }, before, report) {
    await setServer(context, before, wanted(before), last ? "also-last" : "refuse-last");
    const state = await untilIdle(context, before, timeout, report);
    return outputOf(before.pool, state, before.server);
  },
  async undo(context, _input, before) {
    return restoreServer(context, before);
  },
  render: renderServer,
});

/** Milliseconds between two looks. */
const lookEvery = 200;

/** Waits until two looks in a row saw no request at the server. Throws `E_DRAIN_TIMEOUT`. */
async function untilIdle(
  context: OperationContext,
  before: ServerBefore,
  timeout: number,
  report: Report,
): Promise<BackendState> {
  const { server } = before;
  const pool = openPool(context.environment, before.pool);
  const { clock } = context;
  const end = clock.elapsed() + timeout;
  let idle = 0;
  let most = 0;
  for (;;) {
    const state = await pool.read(context.signal);
    const present = requireServer(pool, state, server);
    refuseServerDrift(present, { ...before, ...wanted(before) }, wanted(before));
    const { sessions, queue } = present;
    const busy = sessions + queue;
    idle = busy === 0 ? idle + 1 : 0;
    if (idle === 2) return state;
    most = Math.max(most, busy);
    report.progress({
      message: `${server} takes no new requests; ${sessions} being served, ${queue} waiting`,
      done: most - busy,
      total: most,
      unit: "requests",
    });
    if (clock.elapsed() >= end && busy > 0) throw stillBusy(server, sessions, queue, timeout);
    await pause(context, lookEvery);
  }
}

function stillBusy(server: string, sessions: number, queue: number, timeout: number): OpsError {
  const requests = `${sessions} being served, ${queue} waiting`;
  return new OpsError(
    "E_DRAIN_TIMEOUT",
    `${server} still has requests after ${formatDuration(timeout)}: ${requests}`,
    {
      hint: `it takes no new ones; wait on: ops pool drain ${server}; or take it back: ops pool enable ${server}`,
      details: { server, sessions, queue },
    },
  );
}
