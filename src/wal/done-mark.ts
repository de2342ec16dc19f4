import { readFileSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { makeFolders, type Spool, spoolOf } from "./spool.ts";

/**
 * A mark says that a file of pg_wal is durable in every store: the call that the server makes for it later has nothing
 * left to do. It names the very file (a copy of the data folder has others), the configuration as it was read and the
 * command line, so that what was archived for one of them never counts for another. A mark that a crash left
 * half-written is none.
 */
interface MarkedCall {
  readonly file: string;
  readonly configuration: string;
  readonly call: readonly string[];
}

/** What a call depends on beside the file: its arguments without the path, and the variables that ops reads. */
export function callOf(path: string, args: readonly string[]): string[] {
  const variables = ["OPS_CONFIG", "OPS_ENV", "OPS_DATABASE_URL"].map((name) => process.env[name] ?? "");
  return [...args.filter((each) => each !== path), ...variables];
}

/**
 * Marks a file as archived. Call it only when it is.
 *
 * @param identity of the file, from before it was read
 * @param configuration absolute path of the file with the configuration
 */
export function markDone(
  spool: Spool,
  name: string,
  identity: string,
  configuration: string,
  call: readonly string[],
): void {
  const mark: MarkedCall = { file: identity, configuration: identifiedConfiguration(configuration), call };
  makeFolders(dirname(spool.done), spool.done);
  const path = join(spool.done, name);
  writeFileSync(`${path}.${process.pid}`, JSON.stringify([configuration, mark]), { mode: 0o600 });
  renameSync(`${path}.${process.pid}`, path);
}

/**
 * Whether the server's call for this file has nothing to do. Never throws: where it cannot be told, the answer is no.
 *
 * @param call as `callOf` tells it
 */
export function isDone(path: string, call: readonly string[]): boolean {
  const spool = spoolOf(path);
  if (spool === undefined) return false;
  const mark = join(spool.done, basename(path));
  try {
    const [configuration, found] = JSON.parse(readFileSync(mark, "utf8")) as [string, MarkedCall];
    const now: MarkedCall = {
      file: fileIdentity(path),
      configuration: identifiedConfiguration(configuration),
      call,
    };
    return JSON.stringify(found) === JSON.stringify(now);
  } catch {
    // No mark, half a mark, or one of another version: the long way finds out.
    return false;
  }
}

/** The server has been told; the mark has served. */
export function forget(path: string): void {
  const spool = spoolOf(path);
  if (spool !== undefined) rmSync(join(spool.done, basename(path)), { force: true });
}

/** Changes whenever the file is written, replaced or copied. */
export function fileIdentity(path: string): string {
  const { dev, ino, size, mtimeNs } = statSync(path, { bigint: true });
  return [dev, ino, size, mtimeNs].join(" ");
}

export function identifiedConfiguration(path: string): string {
  return `${path} ${fileIdentity(path)}`;
}
