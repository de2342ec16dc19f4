import { errorRecord, OpsError } from "../core/errors.ts";
import { after } from "../core/timer.ts";
import type { JournalEntry } from "../run/events.ts";
import type { Journal } from "../run/journal.ts";
import type { RunListener } from "../run/run-listener.ts";
import { isNews } from "./checkpoint-messages.ts";
import { type Collecting, collect, startOf } from "./collect.ts";
import { type Attempt, deliver } from "./delivery.ts";
import { type NewNotice, Outbox } from "./outbox.ts";
import { noticesOf, requiredFor } from "./rules.ts";
import { sendNotice } from "./send.ts";

/** How long the end of a run waits for receivers; what is left is for the next process. Milliseconds. */
const patience = 2000;
/** Of a receiver that heeds no signal. Milliseconds. */
const insist = 500;
/** How long the beginning of a run waits for those without whom it does not begin. Milliseconds. */
const startPatience = 15_000;

/** What tells people of a run while it goes on, and never holds it up. */
export interface RunNotices {
  /** The listener, which now also wakes the telling. */
  listening(listener: RunListener): RunListener;
  /** Throws `E_NOTICE` where somebody had to hear of the run's start and could not be told. */
  begin(run: string): Promise<void>;
  /** Waits for what is under way, at most about two seconds. Returns what did not get through. */
  end(): Promise<string[]>;
}

const silent: RunNotices = {
  listening: (listener) => listener,
  begin: async () => {},
  end: async () => [],
};

/**
 * For the runs of this process. What happens from now on is owed to those whom rules name, also where this process is
 * killed: what is told is derived from the journal.
 */
export async function openRunNotices(
  context: Collecting & { readonly stateDirectory: string },
  journal: Journal,
): Promise<RunNotices> {
  const { environment, stateDirectory } = context;
  if (environment.notifyRules().length === 0 && !Outbox.exists(stateDirectory)) return silent;
  try {
    const outbox = Outbox.open(stateDirectory, environment.name);
    await collect(context, outbox, journal);
    return new LiveNotices(context, journal, outbox);
  } catch (error) {
    if (!(error instanceof OpsError)) throw error;
    return new BrokenNotices(context, error);
  }
}

class LiveNotices implements RunNotices {
  private readonly context: Collecting;
  private readonly journal: Journal;
  private readonly outbox: Outbox;
  private readonly over = new AbortController();
  private readonly problems = new Map<string, string>();
  private telling: Promise<void> | undefined;
  private again = false;

  constructor(context: Collecting, journal: Journal, outbox: Outbox) {
    this.context = context;
    this.journal = journal;
    this.outbox = outbox;
  }

  listening(listener: RunListener): RunListener {
    return {
      entry: (entry) => {
        listener.entry(entry);
        if (isNotable(entry)) this.wake();
      },
      progress: (step, progress) => listener.progress(step, progress),
      log: (step, line) => listener.log(step, line),
      note: (text) => listener.note(text),
    };
  }

  async begin(run: string): Promise<void> {
    const { environment } = this.context;
    const start = await startOf(this.journal, run);
    const required = start === undefined ? [] : requiredFor(environment, start);
    if (start === undefined || required.length === 0) return;
    await this.telling;
    const keys = required.map((target) => `${start.key}/${target}`);
    this.owe(noticesOf(environment, start).filter(({ key }) => keys.includes(key)));
    const attempts = await this.tell(AbortSignal.timeout(startPatience), run);
    const mine = this.outbox.notices().filter(({ key }) => keys.includes(key));
    const missing = mine.filter(({ state }) => state !== "delivered");
    if (missing.length === 0) return;
    const now = this.context.clock.now().getTime();
    for (const { id } of missing) this.outbox.giveUp(id, now, "the run did not begin");
    const names = missing.map(({ target }) => target);
    const why = attempts.flatMap(({ notice, problem }) =>
      names.includes(notice.target) && problem !== null
        ? [problem.replace(/; will be tried again$/, "")]
        : [],
    );
    throw new OpsError("E_NOTICE", `Nothing was begun: ${names.join(", ")} could not be told of it`, {
      cause: why.join("; ") || missing.map(({ problem }) => problem).join("; "),
      hint: `see what it says: ops notify test ${names[0]}, or take "required" off the rule in .opsrc`,
    });
  }

  async end(): Promise<string[]> {
    const cancel = after(patience, () => this.over.abort());
    const told = (async () => {
      await this.telling;
      await this.attempt();
      this.outbox.close();
    })();
    let insisted = () => {};
    const enough = new Promise<void>((resolve) => {
      insisted = after(patience + insist, resolve);
    });
    // The timers do not hold the process; what they wait for does.
    await Promise.race([told, enough]);
    cancel();
    insisted();
    return [...this.problems.values()];
  }

  /** Also where a run that did not begin yet is taken up again. */
  private owe(notices: readonly NewNotice[]): void {
    const now = this.context.clock.now().getTime();
    this.outbox.add(notices, now);
    const keys = notices.map(({ key }) => key);
    for (const { id } of this.outbox.notices("given-up").filter(({ key }) => keys.includes(key)))
      this.outbox.tryAgain(id, now);
  }

  /** Beside the run: one telling at a time, and another one where something happened in the meantime. */
  private wake(): void {
    this.again = true;
    this.telling ??= (async () => {
      while (this.again && !this.over.signal.aborted) {
        this.again = false;
        await this.attempt();
      }
      this.telling = undefined;
    })();
  }

  /** Whatever goes wrong with telling is told at the end and stops nothing. */
  private async attempt(): Promise<void> {
    try {
      await this.tell(this.over.signal);
    } catch (error) {
      this.problems.set("outbox", errorRecord(error).message);
    }
  }

  private async tell(signal: AbortSignal, run?: string): Promise<Attempt[]> {
    const { environment, clock } = this.context;
    await collect(this.context, this.outbox, this.journal);
    const attempts = await deliver(this.outbox, {
      clock,
      channels: ["notification"],
      signal,
      send: (notice, ended) => sendNotice(environment, clock, notice, ended),
      ...(run === undefined ? {} : { only: (notice) => notice.source === run }),
    });
    for (const { notice, problem } of attempts) {
      if (problem === null) this.problems.delete(notice.target);
      else this.problems.set(notice.target, problem);
    }
    return attempts;
  }
}

/** The outbox cannot be used: nothing is told, and that is said; where somebody has to hear, nothing begins. */
class BrokenNotices implements RunNotices {
  private readonly context: Collecting;
  private readonly error: OpsError;

  constructor(context: Collecting, error: OpsError) {
    this.context = context;
    this.error = error;
  }

  listening(listener: RunListener): RunListener {
    return listener;
  }

  async begin(): Promise<void> {
    if (this.context.environment.notifyRules().some(({ rule }) => rule.required)) throw this.error;
  }

  async end(): Promise<string[]> {
    const { message, hint } = errorRecord(this.error);
    return [`nobody was told of this run: ${message}${hint === undefined ? "" : ` (${hint})`}`];
  }
}

/** Whether an entry may be worth a notice. */
function isNotable(entry: JournalEntry): boolean {
  if (entry.type === "step.checkpoint") return isNews(entry.data);
  return entry.type.startsWith("run.") || entry.type === "step.failed" || entry.type === "step.done";
}
