import { UsageError } from "../core/errors.ts";
import { nearest } from "../core/suggestion.ts";
import { liveness } from "../process/live-process.ts";
import type { OperationContext } from "../run/context.ts";
import { WatchFiles, type WatchRecord } from "./files.ts";

/** What a watch is doing, as far as another process of this machine can tell. */
export type WatchStanding = "watching" | "acting" | "cut-off" | NonNullable<WatchRecord["state"]["verdict"]>;

export function standingOf({ state, process }: WatchRecord): WatchStanding {
  if (state.phase === "over") return state.verdict ?? "cut-off";
  if (liveness(process) === "gone") return "cut-off";
  return state.phase;
}

/** Of this environment, newest first. */
export async function watchesOf(context: OperationContext): Promise<WatchRecord[]> {
  const all = await new WatchFiles(context).all();
  return all.filter(({ environment }) => environment === context.environment.name);
}

/** By its run, any beginning or end of that which fits one watch, or `last`. Throws `E_WATCH_UNKNOWN`. */
export async function findWatch(context: OperationContext, wanted: string): Promise<WatchRecord> {
  const all = await watchesOf(context);
  const [newest] = all;
  if (newest === undefined) {
    throw new UsageError("E_WATCH_UNKNOWN", `There is no watch in environment ${context.environment.name}`, {
      hint: "begin one: ops watch --gate NAME; or name another environment: --env",
    });
  }
  if (wanted === "last") return newest;
  const fits = ({ run, state: { id } }: WatchRecord) =>
    [run, id].some((each) => each.startsWith(wanted) || each.endsWith(wanted));
  const fitting = all.filter(fits);
  if (fitting.length === 1 && fitting[0] !== undefined) return fitting[0];
  if (fitting.length > 1) {
    throw new UsageError("E_WATCH_UNKNOWN", `"${wanted}" fits ${fitting.length} watches`, {
      hint: `one of: ${fitting
        .slice(0, 5)
        .map(({ state }) => state.id)
        .join(", ")}`,
    });
  }
  const close = nearest(
    wanted,
    all.map(({ run }) => run),
  );
  throw new UsageError("E_WATCH_UNKNOWN", `There is no watch "${wanted}"`, {
    hint: close === undefined ? "see all: ops watch list" : `did you mean ${close}? See all: ops watch list`,
  });
}
