import { z } from "zod";
import { name } from "../core/schema.ts";
import { defineOperation } from "../run/operation.ts";
import { openPool } from "./pool.ts";
import { renderPool, shownPool, shownPoolOf } from "./shown-pool.ts";

export const show = defineOperation({
  name: "pool.show",
  summary: "Show the servers of a pool: state, weight, requests, errors, health",
  example: "pool show web",
  effect: "read",
  input: z.strictObject({
    pool: name("The pool; default: the only one, or the one called web").optional(),
  }),
  positional: ["pool"],
  output: shownPool,
  observe: async () => null,
  plan: () => [],
  async apply(context, { pool: poolName }) {
    const pool = openPool(context.environment, poolName);
    return shownPoolOf(pool, await pool.read(context.signal));
  },
  render: renderPool,
});
