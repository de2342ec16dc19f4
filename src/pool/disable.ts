import { z } from "zod";
import { defineOperation } from "../run/operation.ts";
import { poolLocks, refuseLast } from "./pool.ts";
import {
  lastField,
  observeServer,
  outputOf,
  renderServer,
  restoreServer,
  type ServerBefore,
  serverFields,
  serverOutput,
  setServer,
} from "./server-change.ts";

export const disable = defineOperation({
  name: "pool.disable",
  summary: "Take a server out: no requests, no health checks; those it has are finished",
  example: "pool disable web-2",
  effect: "change",
  input: z.strictObject({ ...serverFields, last: lastField }),
  positional: ["server"],
  output: serverOutput,
  targets: ({ pool }, environment) => poolLocks(environment, pool),
  async observe(context, { pool: poolName, server, last }): Promise<ServerBefore> {
    const { pool, state, before } = await observeServer(context, poolName, server);
    if (!last) refuseLast(pool, state, server);
    return before;
  },
  plan({ pool, server, admin }) {
    if (admin === "maint") return [];
    const target = `pool:${pool}`;
    return [{ target, action: "update", summary: `take ${server} out`, from: admin, to: "maint" }];
  },
  async apply(context, { last }, before) {
    const state = await setServer(context, before, { admin: "maint" }, last ? "also-last" : "refuse-last");
    return outputOf(before.pool, state, before.server);
  },
  async undo(context, _input, before) {
    return restoreServer(context, before);
  },
  render: renderServer,
});
