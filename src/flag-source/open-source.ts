import type { FlagSourceTarget } from "../config/environment.ts";
import { FileFlagSource } from "./file-source.ts";
import type { FlagSource } from "./flag-source.ts";
import { PostgresFlagSource } from "./postgres-source.ts";

export interface SourceOptions {
  readonly stateDirectory: string;
  readonly now: () => Date;
  readonly signal: AbortSignal;
  /** Milliseconds that a database may take to answer; a reader who waits for ever would serve old flags. Default: any. */
  readonly queryTimeout?: number;
}

/** Opens nothing yet: a source connects when it is first used. The caller closes it. */
export function openFlagSource(target: FlagSourceTarget, options: SourceOptions): FlagSource {
  if (target.driver === "postgres") return new PostgresFlagSource(target.database, options);
  return new FileFlagSource({ ...options, file: target.file, history: target.history });
}
