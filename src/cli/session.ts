import { hostname, userInfo } from "node:os";
import { capabilities } from "../capabilities.ts";
import type { Config } from "../config/config.ts";
import type { Environment } from "../config/environment.ts";
import { loadConfig } from "../config/load.ts";
import { systemClock } from "../core/clock.ts";
import { ExitCode, InterruptedError, OpsError, TerminatedError, UsageError } from "../core/errors.ts";
import type { Check } from "../run/check.ts";
import type { OperationContext } from "../run/context.ts";
import type { Operation } from "../run/operation.ts";
import type { RestorePointMaker } from "../run/restore-point.ts";
import type { OperationCatalog } from "../runbook/parse.ts";
import type { CommonOptions } from "./options.ts";
import type { Terminal } from "./terminal.ts";

/** What one invocation of the command works with. */
export interface Session {
  readonly terminal: Terminal;
  readonly options: CommonOptions;
  readonly config: Config;
  readonly environment: Environment;
  readonly context: Omit<OperationContext, "signal" | "stop" | "safePoint" | "runId">;
  readonly interruption: Interruption;
}

export async function openSession(
  terminal: Terminal,
  options: CommonOptions,
  environmentName?: string,
): Promise<Session> {
  const config = await loadConfig({ file: options.config, cwd: process.cwd(), variables: process.env });
  const environment = config.environment(environmentName ?? options.env);
  return {
    terminal,
    options,
    config,
    environment,
    context: {
      environment,
      stateDirectory: config.stateDirectory,
      clock: systemClock,
      actor: actor(),
      checks: allChecks,
      restorePoints,
      requireCommand: async (words) => {
        const { requireAccepted } = await import("./accepted-command.ts");
        const { stateDirectory } = config;
        await requireAccepted({ stateDirectory, directory: environment.directory }, words);
      },
    },
    interruption: listenForInterruption(terminal),
  };
}

/** A context for work outside a journaled run: a plan, a read, a dry run. */
export function looseContext(session: Session): OperationContext {
  const { stop, abort } = session.interruption;
  return {
    ...session.context,
    // Nothing is at stake in the middle of a read: the first Ctrl-C ends it at once.
    signal: AbortSignal.any([stop, abort]),
    stop,
    safePoint: () => stop.throwIfAborted(),
    runId: undefined,
  };
}

export const operationCatalog: OperationCatalog = {
  find: async (name) => {
    const capability = capabilities.find((each) => name.startsWith(`${each.name}.`));
    return (await capability?.operations())?.operations.find((each) => each.name === name);
  },
  names: async () => (await allOperations()).map((each) => each.name),
};

export async function allOperations(): Promise<Operation[]> {
  return (await Promise.all(capabilities.map((each) => each.operations()))).flatMap((each) => [
    ...each.operations,
  ]);
}

export async function allChecks(): Promise<ReadonlyMap<string, Check>> {
  const loaded = await Promise.all(
    capabilities.flatMap((each) => (each.checks === undefined ? [] : [each.checks()])),
  );
  return new Map(loaded.flatMap((each) => each.checks.map((check) => [check.kind, check] as const)));
}

async function restorePoints(): Promise<RestorePointMaker> {
  const loaded = await capabilities.find((each) => each.restorePoints !== undefined)?.restorePoints?.();
  if (loaded === undefined) throw new Error("no capability makes restore points");
  return loaded.restorePoints;
}

/** Who: OPS_ACTOR, who started the CI job, or user@host. */
function actor(): string {
  const named = process.env.OPS_ACTOR ?? process.env.GITHUB_ACTOR ?? process.env.GITLAB_USER_LOGIN;
  return named ?? `${userInfo().username}@${hostname()}`;
}

export interface Interruption {
  /** The first Ctrl-C; by `TerminatedError`: SIGTERM, or the terminal's end (SIGHUP). */
  readonly stop: AbortSignal;
  /** The second one. */
  readonly abort: AbortSignal;
  /** Called at the first one instead of writing to the terminal, where something else draws on it. */
  announce: ((text: string) => void) | undefined;
}

/** How long work has to end after the second Ctrl-C before the process ends without it, in milliseconds. */
const grace = 5000;

function listenForInterruption(terminal: Terminal): Interruption {
  const stop = new AbortController();
  const abort = new AbortController();
  const interruption: Interruption = { stop: stop.signal, abort: abort.signal, announce: undefined };
  const interrupted = (reason: InterruptedError) => {
    if (!stop.signal.aborted) {
      const say = interruption.announce ?? terminal.note;
      say("Stopping at the next safe point (a roll-back goes on to its end). Ctrl-C again stops at once.");
      stop.abort(reason);
      return;
    }
    abort.abort(new InterruptedError("Stopped at once because it was interrupted twice"));
    setTimeout(() => process.exit(ExitCode.interrupted), grace).unref();
  };
  process.on("SIGINT", () => interrupted(new InterruptedError()));
  for (const signal of ["SIGTERM", "SIGHUP"] as const) {
    process.on(signal, () => interrupted(new TerminatedError()));
  }
  return interruption;
}

/**
 * Asks before something changes, where a person is there to answer. Without one, what can be taken back goes ahead
 * and what destroys data needs --yes.
 */
export async function confirm(session: Session, question: string, destroys: boolean): Promise<void> {
  if (session.options.yes === true) return;
  if (!session.terminal.interactive) {
    if (!destroys) return;
    throw new UsageError("E_CONFIRM", "This destroys or replaces data, and there is nobody here to ask", {
      hint: "add --yes if that is meant",
    });
  }
  const { createPromptModule } = await import("inquirer");
  const ask = createPromptModule({ output: process.stderr });
  const { go } = await ask<{ go: boolean }>([
    { type: "confirm", name: "go", message: question, default: !destroys },
  ]).catch(() => Promise.reject(new InterruptedError("Nothing was changed: the question was not answered")));
  if (!go)
    throw new OpsError("E_DECLINED", "Nothing was changed: the question was answered with no", {
      exitCode: ExitCode.approval,
    });
}
