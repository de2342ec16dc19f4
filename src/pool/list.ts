import { z } from "zod";
import { columns } from "../core/columns.ts";
import { type ErrorRecord, errorRecord, OpsError } from "../core/errors.ts";
import { defineOperation } from "../run/operation.ts";
import { openPool } from "./pool.ts";
import { shownPool, shownPoolOf } from "./shown-pool.ts";

const listed = z.union([
  shownPool.omit({ servers: true }).extend({ servers: z.number() }),
  z.object({
    pool: z.string(),
    backend: z.string(),
    error: z.object({ code: z.string(), message: z.string() }),
  }),
]);
type Listed = z.output<typeof listed>;

export const list = defineOperation({
  name: "pool.list",
  summary: "List the pools: strategy, usable servers, requests being served and waiting",
  example: "pool list",
  effect: "read",
  input: z.strictObject({}),
  output: z.object({ pools: z.array(listed) }),
  observe: async () => null,
  plan: () => [],
  async apply(context) {
    const { environment, signal } = context;
    const pools = await Promise.all(
      environment.poolNames().map(async (name): Promise<Listed> => {
        const pool = openPool(environment, name);
        try {
          const shown = shownPoolOf(pool, await pool.read(signal));
          return { ...shown, servers: shown.servers.length };
        } catch (error) {
          signal.throwIfAborted();
          if (!(error instanceof OpsError)) throw error;
          const { code, message }: ErrorRecord = errorRecord(error);
          return { pool: name, backend: pool.target.backend, error: { code, message } };
        }
      }),
    );
    return { pools };
  },
  failure({ pools }) {
    const failed = pools.filter((each) => "error" in each);
    if (failed.length === 0) return undefined;
    return new OpsError(
      "E_POOL_UNREADABLE",
      `${failed.map(({ pool }) => pool).join(", ")}: could not be read`,
      {
        hint: "see why: ops pool show NAME, or ops doctor",
      },
    );
  },
  render({ pools }) {
    if (pools.length === 0) return 'there is no pool: add one under "pools:" in .opsrc';
    const header = ["pool", "backend", "strategy", "servers", "sessions", "queue", "req/s"];
    const rows = pools.map((each) =>
      "error" in each
        ? [each.pool, each.backend, each.error.message]
        : [
            each.pool,
            each.backend,
            each.strategy,
            `${each.usable} of ${each.servers}`,
            String(each.sessions),
            String(each.queue),
            String(each.rate),
          ],
    );
    return columns([header, ...rows], new Set([3, 4, 5, 6])).join("\n");
  },
});
