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

export const weight = defineOperation({
  name: "pool.weight",
  summary: "Set how many requests a server gets beside the others",
  example: "pool weight web-2 50",
  effect: "change",
  input: z.strictObject({
    ...serverFields,
    weight: z
      .int("must be a whole number")
      .min(0, "must be from 0 to 256")
      .max(256, "must be from 0 to 256")
      .describe("Absolute, 0 to 256; with 0 it gets no new users"),
    last: lastField,
  }),
  positional: ["server", "weight"],
  output: serverOutput,
  targets: ({ pool }, environment) => poolLocks(environment, pool),
  async observe(context, input): Promise<ServerBefore> {
    const { pool, state, before } = await observeServer(context, input.pool, input.server);
    if (input.weight === 0 && !input.last) refuseLast(pool, state, input.server);
    return before;
  },
  plan(before, { weight: wanted }) {
    if (before.weight === wanted) return [];
    const summary = `give ${before.server} the weight ${wanted}`;
    return [{ target: `pool:${before.pool}`, action: "update", summary, from: before.weight, to: wanted }];
  },
  async apply(context, { weight: wanted, last }, before) {
    const refusal = wanted === 0 && !last ? "refuse-last" : "also-last";
    const state = await setServer(context, before, { weight: wanted }, refusal);
    return outputOf(before.pool, state, before.server);
  },
  async undo(context, _input, before) {
    return restoreServer(context, before);
  },
  render: renderServer,
});
