import type { Json } from "../core/errors.ts";
import type { Operation } from "../run/operation.ts";
import { renderValue } from "./render/value.ts";
import { looseContext, type Session } from "./session.ts";

/**
 * Looks whether an operation has anything to do, and answers for it where it has nothing. Loads neither the engine nor
 * the journal: most runs of a pipeline end here.
 *
 * @returns what was seen, where there is something to do; undefined where the answer was given
 */
export async function answerUnchanged(
  session: Session,
  operation: Operation & Required<Pick<Operation, "unchanged">>,
  input: Record<string, Json>,
): Promise<{ readonly seen: Json } | undefined> {
  const { terminal, options, environment } = session;
  const parsed = operation.input.parse(input);
  const seen = await operation.observe(looseContext(session), parsed);
  if (operation.plan(seen, parsed).length > 0) return { seen };
  const { output, warnings } = operation.unchanged(seen, parsed);
  await warnOfUnfinishedRuns(session, operation.targets?.(parsed, environment) ?? []);
  for (const warning of warnings) terminal.note(`warning: ${warning}`);
  if (options.json === true) terminal.out(JSON.stringify(json(session, operation, output), null, 2));
  else terminal.out(operation.render?.(output, terminal.screen) ?? renderValue(output));
  return undefined;
}

/** As that of a run, with no run in it. */
function json({ environment }: Session, operation: Operation, output: unknown): object {
  const step = {
    id: operation.name.replaceAll(".", "-"),
    status: "done",
    changes: [],
    applied: false,
    output,
  };
  return {
    run: null,
    name: operation.name,
    environment: environment.name,
    status: "done",
    exitCode: 0,
    steps: [step],
  };
}

async function warnOfUnfinishedRuns(session: Session, targets: readonly string[]): Promise<void> {
  const { stateDirectory, clock } = session.context;
  const { SqliteJournal } = await import("../run/sqlite-journal.ts");
  if (!SqliteJournal.exists(stateDirectory)) return;
  const { warnOfUnfinished } = await import("./unfinished-warning.ts");
  const journal = SqliteJournal.openToRead(stateDirectory, clock);
  try {
    await warnOfUnfinished(session, journal, targets);
  } finally {
    await journal.close();
  }
}
