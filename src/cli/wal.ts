import { callOf, forget, isDone } from "../wal/done-mark.ts";
import { fetchAhead, fetchCall, takeFetched } from "../wal/fetched.ts";

/**
 * The short way for what a server calls for every segment: where an earlier call has done the work already, nothing
 * else is loaded. Everything else is the usual command's.
 */
async function isAnswered(args: readonly string[]): Promise<boolean> {
  const [, verb, first, second] = args;
  if (verb === "push" && first !== undefined) {
    if (!isDone(first, callOf(first, args))) return false;
    forget(first);
    return true;
  }
  if (verb === "fetch" && first !== undefined && second !== undefined) {
    if (!(await takeFetched(first, second, fetchCall(first, second, args)))) return false;
    fetchAhead(first, second, args);
    return true;
  }
  return false;
}

const args = process.argv.slice(2);
if (!(await isAnswered(args))) await import("./main.ts");
