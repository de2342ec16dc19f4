import { setTimeout as delay } from "node:timers/promises";
import type { Command } from "commander";
import { loadConfig } from "../config/load.ts";
import { systemClock } from "../core/clock.ts";
import { ExitCode, UsageError } from "../core/errors.ts";
import { writeAtomically } from "../process/write-atomically.ts";
import { findRun } from "../run/run-id.ts";
import { isFinished, type RunState, runState } from "../run/run-state.ts";
import { SqliteJournal } from "../run/sqlite-journal.ts";
import { type RunOutcome, resumeRun, rollbackRun } from "../runbook/engine.ts";
import type { ExecutionEnvironment } from "../runbook/execution.ts";
import { runbookOf } from "../runbook/journaled-runbook.ts";
import type { Runbook } from "../runbook/runbook.ts";
import { type CommonOptions, commonOptions, restorePointOption } from "./options.ts";
import { renderEntry } from "./render/entry.ts";
import { paintStatus, renderRun, shownStatus } from "./render/run.ts";
import { table } from "./render/table.ts";
import { watched } from "./run-command.ts";
import { confirm, openSession, operationCatalog } from "./session.ts";
import type { Terminal } from "./terminal.ts";

type Ended = (code: ExitCode) => void;
type Continue = (
  surroundings: ExecutionEnvironment,
  runbook: Runbook,
  state: RunState,
) => Promise<RunOutcome>;

export function runsCommand(command: Command, terminal: Terminal, ended: Ended): void {
  const list = command
    .command("list")
    .description("All runs, newest first")
    .option("--limit <number>", "how many", "20");
  commonOptions(list, { changes: false }).action(async () => ended(await listRuns(terminal, list.opts())));

  const show = command
    .command("show")
    .description("One run, step by step")
    .argument("<id>", "a run, the end of its id, or last");
  commonOptions(show, { changes: false })
    .option("--events", "print its journal as lines of JSON")
    .action(async (id: string) => ended(await showRun(terminal, show.opts(), id)));

  const watch = command
    .command("watch")
    .description("Follow a run that goes on elsewhere")
    .argument("<id>", "a run, or last");
  commonOptions(watch, { changes: false })
    .option("--events", "print its journal as lines of JSON")
    .action(async (id: string) => ended(await watchRun(terminal, watch.opts(), id)));

  const report = command
    .command("report")
    .description("One run as a page with charts, to keep or to send")
    .argument("<id>", "a run, or last")
    .requiredOption("--html [file]", "the page goes to this file; default: standard output");
  commonOptions(report, { changes: false }).action(async (id: string) =>
    ended(await reportRun(terminal, report.opts(), id)),
  );

  const resume = command
    .command("resume")
    .description("Go on with a run that stopped")
    .argument("<id>", "a run, or last");
  restorePointOption(commonOptions(resume, { changes: true })).action(async (id: string) => {
    const options = resume.opts<CommonOptions>();
    const without = options.restorePoint === false ? true : undefined;
    ended(
      await continueRun(terminal, options, id, "Resume", (surroundings, runbook, state) =>
        resumeRun(surroundings, runbook, state, without),
      ),
    );
  });

  const rollback = command
    .command("rollback")
    .description("Take a run back")
    .argument("<id>", "a run, or last");
  commonOptions(rollback, { changes: true })
    .option("--accept <step...>", "steps that a person has dealt with by hand, or leaves as they are")
    .action(async (id: string) => {
      const options = rollback.opts<CommonOptions & { readonly accept?: string[] }>();
      ended(
        await continueRun(terminal, options, id, "Roll back", (surroundings, runbook, state) =>
          rollbackRun(surroundings, runbook, state, options.accept),
        ),
      );
    });
}

async function listRuns(terminal: Terminal, options: CommonOptions & { limit: string }): Promise<ExitCode> {
  const limit = Number(options.limit);
  if (!Number.isInteger(limit) || limit < 1) {
    throw new UsageError("E_USAGE", `--limit takes a whole number above 0, not "${options.limit}"`, {
      hint: "write --limit 20",
    });
  }
  return withJournal(options, "read", async (journal) => {
    const rows = await Promise.all(
      (await journal.runs(limit)).map(async (id) => {
        const state = runState(await journal.entries(id));
        if (state === undefined) return [];
        const held = (await journal.holder(id)) === undefined ? undefined : "held";
        return [{ state, status: shownStatus(state, held) }];
      }),
    );
    const all = rows.flat();
    if (options.json === true) {
      const runs = all.map(({ state, status }) => ({
        run: state.id,
        name: state.request.name,
        environment: state.request.environment,
        status,
        createdAt: state.createdAt,
        lastAt: state.lastAt,
        actor: state.request.actor,
      }));
      terminal.out(JSON.stringify({ runs }, null, 2));
    } else if (all.length === 0) terminal.out("no runs yet");
    else {
      const { color } = terminal;
      const cells = all.map(({ state, status }) => [
        state.id,
        paintStatus(status, color),
        state.request.name,
        state.request.environment,
        state.request.actor,
        state.createdAt.slice(0, 16).replace("T", " "),
      ]);
      terminal.out(table(["RUN", "STATUS", "NAME", "ENVIRONMENT", "BY", "BEGUN (UTC)"], cells));
    }
    return ExitCode.done;
  });
}

async function showRun(terminal: Terminal, options: CommonOptions, wanted: string): Promise<ExitCode> {
  return withJournal(options, "read", async (journal) => {
    const id = await findRun(journal, wanted);
    const entries = await journal.entries(id);
    const state = runState(entries);
    if (state === undefined) throw new UsageError("E_RUN_UNKNOWN", `There is no run "${wanted}"`);
    const holder = await journal.holder(id);
    const held = holder === undefined ? undefined : `pid ${holder.pid} on ${holder.host} (${holder.actor})`;
    if (options.events === true) for (const entry of entries) terminal.out(JSON.stringify(entry));
    else if (options.json === true) {
      terminal.out(
        JSON.stringify(
          { ...state, status: shownStatus(state, held), steps: [...state.steps.values()], holder },
          null,
          2,
        ),
      );
    } else terminal.out(renderRun(state, held, terminal.color));
    return ExitCode.done;
  });
}

async function reportRun(
  terminal: Terminal,
  options: CommonOptions & { readonly html: string | true },
  wanted: string,
): Promise<ExitCode> {
  return withJournal(options, "read", async (journal) => {
    const id = await findRun(journal, wanted);
    const entries = await journal.entries(id);
    const state = runState(entries);
    if (state === undefined) throw new UsageError("E_RUN_UNKNOWN", `There is no run "${wanted}"`);
    const held = (await journal.holder(id)) === undefined ? undefined : "held";
    const { reportPage } = await import("./render/report/page.ts");
    const page = reportPage(state, entries, shownStatus(state, held));
    if (options.html === true) terminal.out(page.trimEnd());
    else {
      await writeAtomically(options.html, page);
      terminal.out(`the report of run ${id} is in ${options.html}`);
    }
    return ExitCode.done;
  });
}

/** How often the journal is looked at, in milliseconds. */
const watchInterval = 300;

async function watchRun(terminal: Terminal, options: CommonOptions, wanted: string): Promise<ExitCode> {
  return withJournal(options, "read", async (journal) => {
    const id = await findRun(journal, wanted);
    let sequence = 0;
    for (;;) {
      // Asked before the entries are read: what a dying process wrote last is still shown.
      const held = await journal.holder(id);
      for (const entry of await journal.entries(id, sequence)) {
        sequence = entry.sequence;
        const text =
          options.events === true || options.json === true
            ? JSON.stringify(entry)
            : renderEntry(entry, terminal.color);
        if (text !== undefined)
          terminal.out(
            options.events === true || options.json === true
              ? text
              : `${terminal.color.dim(entry.at.slice(11, 19))} ${text}`,
          );
      }
      const state = runState(await journal.entries(id));
      if (held === undefined) return state?.status === "done" ? ExitCode.done : exitCodeOf(state);
      await delay(watchInterval);
    }
  });
}

function exitCodeOf(state: RunState | undefined): ExitCode {
  switch (state?.status) {
    case "rolled-back":
      return ExitCode.rolledBack;
    case "needs-person":
      return ExitCode.needsPerson;
    case "interrupted":
      return ExitCode.interrupted;
    default:
      return state?.error?.exitCode ?? ExitCode.failed;
  }
}

async function continueRun(
  terminal: Terminal,
  options: CommonOptions,
  wanted: string,
  verb: string,
  work: Continue,
): Promise<ExitCode> {
  return withJournal(options, "write", async (journal) => {
    const id = await findRun(journal, wanted);
    const state = runState(await journal.entries(id));
    if (state === undefined) throw new UsageError("E_RUN_UNKNOWN", `There is no run "${wanted}"`);
    const runbook = await runbookOf(state.request, operationCatalog);
    const session = await openSession(terminal, options, state.request.environment);
    const held = await journal.holder(id);
    if (options.dryRun === true) {
      terminal.out(
        renderRun(state, held === undefined ? undefined : `pid ${held.pid} on ${held.host}`, terminal.color),
      );
      return ExitCode.done;
    }
    if (terminal.interactive && options.yes !== true && !isFinished(state.status)) {
      terminal.note(`${renderRun(state, undefined, terminal.noteColor)}\n`);
    }
    await confirm(session, `${verb} ${state.request.name}, run ${id}?`, false);
    return watched(session, runbook, state, journal, (surroundings) => work(surroundings, runbook, state));
  });
}

async function withJournal(
  options: CommonOptions,
  access: "read" | "write",
  work: (journal: SqliteJournal) => Promise<ExitCode>,
): Promise<ExitCode> {
  const config = await loadConfig({ file: options.config, cwd: process.cwd(), variables: process.env });
  if (!SqliteJournal.exists(config.stateDirectory)) {
    throw new UsageError(
      "E_RUN_UNKNOWN",
      `There are no runs yet: ${config.stateDirectory} holds no journal`,
      {
        hint: "start one with ops run FILE, or name the configuration with --config",
      },
    );
  }
  const open = access === "read" ? SqliteJournal.openToRead : SqliteJournal.open;
  const journal = open(config.stateDirectory, systemClock);
  try {
    return await work(journal);
  } finally {
    await journal.close();
  }
}
