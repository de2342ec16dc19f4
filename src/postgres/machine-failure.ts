import { z } from "zod";
import type { OpsError } from "../core/errors.ts";

/**
 * Insufficient resources (53: disk full, out of memory, …), errors of the system outside of PostgreSQL (58: I/O), and a
 * server that is going down (57P). A time limit of the statement's own (57014) is none of them.
 */
const outsideClasses = /^(?:53|57P|58)/;

/** The same in what a program says, by the sentences of a server whose messages are English. */
const outsideWords =
  /(?:ERROR|FATAL|PANIC): +(?:out of (?:shared )?memory|could not [^\n]*: (?:No space left on device|Disk quota exceeded|Cannot allocate memory|Input\/output error))|server closed the connection unexpectedly|terminating connection because of crash of another server process/;

const detailsSchema = z.object({
  sqlstate: z.string().optional(),
  stderr: z.string().optional(),
  result: z.union([z.number(), z.string()]).optional(),
});

/** Whether an SQLSTATE says that the server lacks something, or is going down: the statement is not to blame. */
export function isOutsideState(sqlstate: string | undefined): boolean {
  return sqlstate !== undefined && outsideClasses.test(sqlstate);
}

/**
 * Whether a server of our own, or a program that works with it, ran out of space or memory, met a broken disk, or was
 * ended by somebody: that says nothing about the data it worked with.
 */
export function isMachineFailure(error: OpsError): boolean {
  if (error.code === "E_CONNECTION_LOST" || error.code === "E_DATABASE_UNREACHABLE") return true;
  const { sqlstate, stderr, result } = detailsSchema.safeParse(error.details).data ?? {};
  if (error.code === "E_SQL") return isOutsideState(sqlstate);
  // A program that a signal ended is named by that signal.
  return error.code === "E_PROGRAM_FAILED" && (typeof result === "string" || outsideWords.test(stderr ?? ""));
}
