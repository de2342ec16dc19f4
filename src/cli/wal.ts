import { forget, isDone } from "../wal/done-mark.ts";
import { fetchAhead, takeFetched } from "../wal/fetched.ts";
import { callOf } from "../wal/spool-note.ts";

/**
 * The short way for what a server calls for every segment, where the launcher's shell has not gone a shorter one: where an
 * earlier call has done the work already, nothing else is loaded. Everything else is the usual command's.
 */
async function isAnswered(args: readonly string[]): Promise<boolean> {
  const [, verb, first, second] = args;
  if (verb === "push" && first !== undefined) {
    if (!isDone(first, callOf(args, first))) return false;
    forget(first);
    return true;
  }
  if (verb === "fetch" && first !== undefined && second !== undefined) {
    if (!(await takeFetched(first, second, callOf(args, first, second)))) return false;
    fetchAhead(first, second, args);
    return true;
  }
  return false;
}

const args = process.argv.slice(2);
if (!(await isAnswered(args))) await import("./main.ts");
