import { z } from "zod";
import { OpsError } from "../core/errors.ts";
import { formatPercent } from "../core/percent.ts";
import { name } from "../core/schema.ts";
import type { AdminState, BackendState, ServerState } from "../haproxy/backend-state.ts";
import type { ServerSetting } from "../haproxy/set-servers.ts";
import type { OperationContext } from "../run/context.ts";
import type { UndoResult } from "../run/operation.ts";
import { openPool, type Pool, refuseLast, requireServer, shareOf, stateInWords } from "./pool.ts";

/** What every operation on one server asks for. */
export const serverFields = {
  server: name("The server, as haproxy.cfg calls it"),
  pool: name("The pool; default: the only one, or the one called web").optional(),
};

export const lastField = z
  .boolean()
  .default(false)
  .describe("Also where no other server can take requests: the pool then answers with errors");

/** What `observe` of every change to one server saw; undo goes back to it. */
export type ServerBefore = {
  pool: string;
  server: string;
  admin: AdminState;
  weight: number;
  health: ServerState["health"];
  /** Requests it serves, and that wait for it. */
  busy: number;
};

export const serverOutput = z.object({
  pool: z.string(),
  server: z.string(),
  state: z.enum(["ready", "drain", "maint"]),
  health: z.enum(["up", "unchecked", "stopping", "down"]),
  weight: z.number(),
  share: z.number().describe("Percent of the requests that the weights give it"),
  sessions: z.number().describe("Requests being served"),
  queue: z.number().describe("Requests waiting for it"),
});
export type ServerOutput = z.output<typeof serverOutput>;

export async function observeServer(
  context: OperationContext,
  poolName: string | undefined,
  server: string,
): Promise<{ readonly pool: Pool; readonly state: BackendState; readonly before: ServerBefore }> {
  const pool = openPool(context.environment, poolName);
  const state = await pool.read(context.signal);
  const { admin, weight, health, sessions, queue } = requireServer(pool, state, server);
  const before = { pool: pool.target.name, server, admin, weight, health, busy: sessions + queue };
  return { pool, state, before };
}

/**
 * Throws `E_POOL_DRIFT` where the server is neither as it was seen nor as this operation makes it. A mixture is our
 * own too: a crash can fall between two commands.
 */
export function refuseServerDrift(
  present: ServerState,
  { pool, ...before }: ServerBefore,
  wanted: ServerSetting,
): void {
  const isOurs =
    [before.admin, wanted.admin].includes(present.admin) &&
    [before.weight, wanted.weight].includes(present.weight);
  if (isOurs) return;
  throw new OpsError(
    "E_POOL_DRIFT",
    `Somebody else changed ${present.name} of pool ${pool}: it is ${stateInWords(present)} with weight ${present.weight} now`,
    {
      hint: "find out who did (HAProxy reloaded without its state?), then see: ops pool show",
      details: {
        present: { state: present.admin, weight: present.weight },
        expected: [{ ...before }, wanted],
      },
      retryable: false,
    },
  );
}

/** Sets what is wanted of one server, where nobody else has changed it since it was seen. */
export async function setServer(
  context: OperationContext,
  before: ServerBefore,
  wanted: ServerSetting,
  last: "refuse-last" | "also-last",
): Promise<BackendState> {
  const pool = openPool(context.environment, before.pool);
  const state = await pool.read(context.signal);
  const present = requireServer(pool, state, before.server);
  refuseServerDrift(present, before, wanted);
  if (last === "refuse-last") refuseLast(pool, state, before.server);
  return pool.set({ [before.server]: wanted }, context.signal);
}

/** Back to what `observe` saw, whatever it is now. */
export async function restoreServer(context: OperationContext, before: ServerBefore): Promise<UndoResult> {
  const { server, admin, weight } = before;
  const pool = openPool(context.environment, before.pool);
  await pool.set({ [server]: { admin, weight } }, context.signal);
  const words = { ready: "takes requests", drain: "is draining", maint: "is in maintenance" }[admin];
  return { undone: true, note: `${server} ${words} again, with weight ${weight}` };
}

export function outputOf(pool: string, state: BackendState, server: string): ServerOutput {
  const found = state.servers.find((each) => each.name === server);
  if (found === undefined) throw new Error(`the pool ${pool} has no server ${server}`);
  const { admin, health, weight, sessions, queue } = found;
  return { pool, server, state: admin, health, weight, share: shareOf(state, found), sessions, queue };
}

export function renderServer({ pool, server, state, health, weight, share, sessions, queue }: ServerOutput) {
  const what = state === "ready" ? health : state === "drain" ? "draining" : "in maintenance";
  const busy = sessions + queue === 0 ? "idle" : `${sessions} being served, ${queue} waiting`;
  return `pool ${pool}: ${server} is ${what}, weight ${weight} (${formatPercent(share)} of the requests), ${busy}`;
}
