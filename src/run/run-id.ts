import { randomInt } from "node:crypto";
import { UsageError } from "../core/errors.ts";
import { nearest } from "../core/suggestion.ts";
import type { Journal } from "./journal.ts";

const letters = "abcdefghjkmnpqrstvwxyz23456789";

/** Sorts by time and can be read over the telephone: `20261121-094512-k3x9`. UTC. */
export function newRunId(now: Date): string {
  const stamp = now.toISOString().slice(0, 19).replaceAll(/[-:]/g, "").replace("T", "-");
  const random = Array.from({ length: 4 }, () => letters[randomInt(letters.length)]).join("");
  return `${stamp}-${random}`;
}

/** `last`, a whole id, or any beginning or end of one that fits a single run. Throws `E_RUN_UNKNOWN`. */
export async function findRun(journal: Journal, wanted: string): Promise<string> {
  const all = await journal.runs();
  if (all.length === 0)
    throw new UsageError("E_RUN_UNKNOWN", "There are no runs yet", { hint: "start one: ops run FILE" });
  if (wanted === "last" && all[0] !== undefined) return all[0];
  if (all.includes(wanted)) return wanted;
  const fitting = all.filter((id) => id.startsWith(wanted) || id.endsWith(wanted));
  if (fitting.length === 1 && fitting[0] !== undefined) return fitting[0];
  if (fitting.length > 1) {
    throw new UsageError("E_RUN_UNKNOWN", `"${wanted}" fits ${fitting.length} runs`, {
      hint: `one of: ${fitting.slice(0, 5).join(", ")}`,
    });
  }
  const close = nearest(wanted, all);
  throw new UsageError("E_RUN_UNKNOWN", `There is no run "${wanted}"`, {
    hint: close === undefined ? "see all: ops runs list" : `did you mean ${close}? See all: ops runs list`,
  });
}
