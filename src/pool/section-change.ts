import type { PoolConfigurationTarget } from "../config/environment.ts";
import { causeText, errorRecord, OpsError, UsageError } from "../core/errors.ts";
import type { BackendState } from "../haproxy/backend-state.ts";
import { readConfiguration, removeCandidate, replaceConfiguration } from "../haproxy/configuration-file.ts";
import { findOwnedSection } from "../haproxy/owned-section.ts";
import { type Reload, reload, writeServerState } from "../haproxy/reload.ts";
import { runtimeCommand } from "../haproxy/runtime-socket.ts";
import { runtimeChanges } from "../haproxy/runtime-state.ts";
import type { OperationContext } from "../run/context.ts";
import type { Report } from "../run/operation.ts";
import type { Pool } from "./pool.ts";
import { parseSection, type Section, sameSection, sectionLines, type WrittenSection } from "./section.ts";

/** The section of ops in haproxy.cfg as `observe` saw it. */
export type SectionBefore = {
  file: string;
  section: Section;
  /** Whether the running HAProxy has loaded it. */
  loaded: boolean;
};

export interface ConfiguredPool extends Pool {
  readonly configuration: PoolConfigurationTarget;
}

/** Throws `E_POOL_CONFIGURATION` (usage) where ops does not know the pool's haproxy.cfg. */
export function requireConfiguration(pool: Pool, what: string): ConfiguredPool {
  const { configuration, name } = pool.target;
  if (configuration !== undefined) return { ...pool, configuration };
  throw new UsageError(
    "E_POOL_CONFIGURATION",
    `HAProxy cannot change ${what} while it runs, and the pool ${name} names no configuration to write`,
    { hint: `add "configuration:" to the pool under "pools: ${name}:" in .opsrc (docs/pools.md)` },
  );
}

export async function observeSection(pool: ConfiguredPool, state: BackendState): Promise<SectionBefore> {
  const { section } = await readSection(pool);
  const { balance, cookie, breaker } = section;
  return {
    file: pool.configuration.file,
    section: { balance, cookie, breaker },
    loaded: isLoaded(section, state),
  };
}

/**
 * Writes the section and lets HAProxy load it, from wherever an earlier attempt came to. A server's weight and state
 * stay. Where HAProxy does not take it, the file and HAProxy are as they were.
 *
 * @param own what the section may be now; other lines are somebody else's
 * Throws `E_POOL_DRIFT`, `E_POOL_STATE`, `E_HAPROXY_CONFIGURATION` or `E_RELOAD_FAILED`.
 */
export async function changeSection(
  context: OperationContext,
  pool: ConfiguredPool,
  before: SectionBefore,
  wanted: Section,
  own: readonly Section[],
  report: Report,
): Promise<"reloaded" | "unchanged"> {
  const state = await pool.read(context.signal);
  const present = await readSection(pool);
  if (!own.some((each) => sameSection(each, present.section))) throw drift(before.file, present.section);
  const isWritten = sameSection(present.section, wanted);
  if (isWritten && isLoaded(present.section, state)) {
    await removeCandidate(before.file);
    return "unchanged";
  }
  await refuseLostState(pool, context.signal);
  if (!isWritten) {
    report.progress({ message: `checking the new ${before.file}` });
    await writeSection(pool, wanted, state.process, context.signal);
  }
  try {
    report.progress({ message: "reloading HAProxy" });
    await reloadWithState(pool, context.signal, report);
    const running = await pool.read(context.signal);
    const wrong = mismatch(wanted, running);
    if (wrong !== undefined) {
      throw new OpsError("E_RELOAD_FAILED", `HAProxy was reloaded, and ${wrong}`, {
        hint: `see whether the backend ${pool.target.backend} says it again outside the lines of ops in ${before.file}`,
        retryable: false,
      });
    }
  } catch (error) {
    await putBack(pool, before, error, report);
    throw error;
  }
  return "reloaded";
}

async function readSection(pool: ConfiguredPool) {
  const { file } = pool.configuration;
  const { name, backend } = pool.target;
  const text = await readConfiguration(file);
  const found = findOwnedSection(text, file, name, backend);
  return { text, found, section: parseSection(found.lines, file, name) };
}

async function writeSection(
  pool: ConfiguredPool,
  wanted: Section,
  worker: string,
  signal: AbortSignal,
): Promise<void> {
  const { file, check, directory } = pool.configuration;
  const { text, found, section } = await readSection(pool);
  const lines = sectionLines(wanted, section, worker);
  await replaceConfiguration(file, text, found.with(lines), { command: check, directory, signal });
}

/** What is written is loaded when another worker runs than when it was written, and does what is written. */
function isLoaded(section: WrittenSection, state: BackendState): boolean {
  return section.worker !== state.process && mismatch(section, state) === undefined;
}

/** In what the running HAProxy is not as the section says; undefined: in nothing that can be seen. */
function mismatch({ balance, cookie }: Section, state: BackendState): string | undefined {
  const algorithm = balance?.split(/\s+/)[1]?.replace(/\(.*/, "");
  // HAProxy tells neither to a socket without the level operator.
  if (state.algorithm === "") return undefined;
  if (algorithm !== undefined && algorithm !== state.algorithm) {
    return `it balances by ${state.algorithm} instead of ${algorithm}`;
  }
  const name = cookie?.split(/\s+/)[1] ?? null;
  if (name === state.cookie) return undefined;
  return `it has ${state.cookie === null ? "no cookie" : `the cookie ${state.cookie}`} instead of ${name ?? "none"}`;
}

function reloadOf({ configuration, target }: ConfiguredPool, signal: AbortSignal): Reload {
  const { reload: way, stateFile, directory } = configuration;
  return {
    way: way.by === "command" ? { ...way, directory } : way,
    socket: target.socket,
    backend: target.backend,
    stateFile,
    signal,
  };
}

/** A reload brings the weights and states of haproxy.cfg back: of every backend, not only of this one. */
async function refuseLostState(
  { target, configuration }: ConfiguredPool,
  signal: AbortSignal,
): Promise<void> {
  const { stateFile } = configuration;
  if (stateFile !== undefined) {
    // It is written anew before the reload; here it is known to work before anything is changed.
    await writeServerState(target.socket, stateFile, signal).catch((error: unknown) => {
      throw new UsageError("E_POOL_STATE", `The state file ${stateFile} cannot be written`, {
        cause: causeText(error instanceof OpsError ? error.cause : error),
        hint: "let this user read and replace the file, and make files in its folder",
      });
    });
    return;
  }
  const [first, ...others] = await runtimeChanges(target.socket, signal);
  if (first === undefined) return;
  const more = others.length === 0 ? "" : `, and ${others.length} more`;
  throw new UsageError(
    "E_POOL_STATE",
    `A reload would lose what was set at run time: ${first.server} ${first.shown}${more}`,
    {
      hint: 'name HAProxy\'s server-state-file as "state-file" of the pool\'s "configuration" in .opsrc (docs/pools.md)',
    },
  );
}

/** What HAProxy did not take from its state file is set again. */
async function reloadWithState(pool: ConfiguredPool, signal: AbortSignal, report: Report): Promise<void> {
  const { socket } = pool.target;
  const before = await runtimeChanges(socket, signal);
  await reload(reloadOf(pool, signal));
  const after = new Map((await runtimeChanges(socket, signal)).map((each) => [each.server, each.shown]));
  const lost = before.filter(({ server, shown }) => after.get(server) !== shown);
  if (lost.length === 0) return;
  await runtimeCommand(socket, lost.flatMap(({ commands }) => commands).join("; "), { signal });
  report.log(
    `HAProxy did not load its state file: set again ${lost.map(({ server, shown }) => `${server} (${shown})`).join(", ")}`,
  );
}

/** Milliseconds to put the old configuration back in, also when the run's own time is over. */
const putBackLimit = 40_000;

/** The old lines, and another reload: a master whose new worker did not start waits for a good configuration. */
async function putBack(
  pool: ConfiguredPool,
  before: SectionBefore,
  because: unknown,
  report: Report,
): Promise<void> {
  const signal = AbortSignal.timeout(putBackLimit);
  try {
    // The file also where HAProxy does not answer at all.
    const worker = await pool.read(signal).then(
      ({ process }) => process,
      () => "unknown",
    );
    await writeSection(pool, before.section, worker, signal);
    await reloadWithState(pool, signal, report);
    report.log(`put ${before.file} back as it was and reloaded HAProxy with it`);
  } catch (error) {
    throw new OpsError(
      "E_POOL_NOT_RESTORED",
      `HAProxy did not take the new ${before.file}, and the old one could not be brought back whole`,
      {
        cause: because,
        hint: `look at ${before.file} and at HAProxy's log; then: ops runs rollback`,
        details: {
          failure: errorRecord(because).message,
          restore: errorRecord(error).message,
          wanted: before.section,
        },
      },
    );
  }
}

function drift(file: string, present: Section): OpsError {
  return new OpsError("E_POOL_DRIFT", `Somebody else changed the section of ops in ${file}`, {
    hint: "see what it is now, and begin again",
    details: { present },
    retryable: false,
  });
}
