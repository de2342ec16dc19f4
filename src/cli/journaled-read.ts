import { ExitCode, type Json } from "../core/errors.ts";
import { openRunNotices } from "../outbox/run-notices.ts";
import { version } from "../process/version.ts";
import type { Operation } from "../run/operation.ts";
import type { RunListener } from "../run/run-listener.ts";
import type { RunState } from "../run/run-state.ts";
import { SqliteJournal } from "../run/sqlite-journal.ts";
import { startRun } from "../runbook/engine.ts";
import { planRunbook, usedVariables } from "../runbook/plan.ts";
import { singleOperation } from "../runbook/runbook.ts";
import { renderErrorRecord } from "./render/error.ts";
import { LiveLines } from "./render/live-lines.ts";
import { renderValue } from "./render/value.ts";
import { looseContext, type Session } from "./session.ts";

/** A read whose answer is evidence: a run with a journal, whose answer is printed whole, also where it is bad news. */
export async function performJournaledRead(
  session: Session,
  operation: Operation,
  input: Record<string, Json>,
): Promise<ExitCode> {
  const { terminal, options, environment, context, interruption } = session;
  let answer: { readonly output: unknown } | undefined;
  const heard: Operation = {
    ...operation,
    apply: async (...given) => {
      const output: unknown = await operation.apply(...given);
      answer = { output };
      return output;
    },
  };
  const runbook = singleOperation(heard, input);
  const variables = usedVariables(runbook, process.env);
  const unselected = new Set<string>();
  const loose = looseContext(session);
  const plan = await planRunbook({ runbook, environment, inputs: {}, variables, unselected, context: loose });
  const lines = new LiveLines(terminal);
  const journal = SqliteJournal.open(session.config.stateDirectory, context.clock);
  try {
    const notices = await openRunNotices(context, journal);
    const surroundings = {
      journal,
      environment,
      context,
      listener: notices.listening(liveListener(lines)),
      begin: notices.begin.bind(notices),
      stop: interruption.stop,
      abort: interruption.abort,
    };
    interruption.announce = (text) => lines.note(text);
    terminal.holdsRun = true;
    const outcome = startRun(surroundings, runbook, plan, { variables, unselected, version });
    const { state, exitCode } = await outcome.finally(async () => {
      lines.clear();
      for (const problem of await notices.end()) terminal.note(`! ${problem}`);
    });
    // The journal's own form of it: what a later reader finds is what was printed.
    const output = answer === undefined ? undefined : operation.output.parse(answer.output);
    if (output !== undefined) {
      const text =
        options.json === true
          ? JSON.stringify(output, null, 2)
          : (operation.render?.(output, terminal.screen, operation.input.parse(input)) ??
            renderValue(output));
      if (text !== "") terminal.out(text);
    } else if (options.json === true) terminal.out(JSON.stringify({ error: state.error ?? null }, null, 2));
    noteEnd(session, state, exitCode);
    return exitCode;
  } finally {
    interruption.announce = undefined;
    await journal.close();
  }
}

function noteEnd({ terminal }: Session, state: RunState, exitCode: ExitCode): void {
  const { noteColor } = terminal;
  if (exitCode === ExitCode.interrupted) {
    terminal.note(
      `${noteColor.yellow("‖ interrupted")} before there was an answer\n  ${noteColor.cyan("→")} begin again: ops runs resume ${state.id}`,
    );
    return;
  }
  if (state.error !== undefined) terminal.note(renderErrorRecord(state.error, noteColor));
  terminal.note(noteColor.dim(`run ${state.id}`));
}

function liveListener(lines: LiveLines): RunListener {
  return {
    entry: () => undefined,
    progress: (_step, { message, done, total }) =>
      lines.add(done === undefined || total === undefined ? message : `${message} (${done} of ${total})`),
    log: (_step, line) => lines.note(line),
    note: (text) => lines.note(text),
  };
}
