import { errorRecord, OpsError } from "../core/errors.ts";
import { after } from "../core/timer.ts";
import type { JournalEntry } from "../run/events.ts";
import type { Journal } from "../run/journal.ts";
import type { RunListener } from "../run/run-listener.ts";
import { isNews } from "./checkpoint-messages.ts";
import { type Collecting, collect, startOf } from "./collect.ts";
import { type Attempt, deliver } from "./delivery.ts";
import { type NewNotice, type Notice, Outbox } from "./outbox.ts";
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
  private collecting: Promise<void> | undefined;
  private again = false;
  /** By receiver: one that hangs holds no other one up. */
  private readonly telling = new Map<string, { again: boolean; done: Promise<void> }>();

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
    const keys = required.map((target) => `${start.key}/${target}`);
    this.owe(noticesOf(environment, start).filter(({ key }) => keys.includes(key)));
    const over = AbortSignal.timeout(startPatience);
    await this.collecting;
    // What is under way to them may be this very notice.
    const underWay = required.map((target) => this.telling.get(target)?.done);
    await Promise.race([
      Promise.all(underWay),
      new Promise((resolve) => over.addEventListener("abort", resolve)),
    ]);
    const attempts = await this.deliver(over, ({ key }) => keys.includes(key));
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
      cause: why.join("; ") || missing.map(({ problem }) => problem ?? "no answer in time").join("; "),
      hint: `see what it says: ops notify test ${names[0]}, or take "required" off the rule in .opsrc`,
    });
  }

  async end(): Promise<string[]> {
    const cancel = after(patience, () => this.over.abort());
    const told = (async () => {
      this.wake();
      await this.collecting;
      await Promise.all([...this.telling.values()].map(({ done }) => done));
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
    for (const target of this.telling.keys())
      this.problems.set(target, `notification ${target}: no answer in time; will be tried again`);
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

  /** Beside the run: what has happened is taken into the outbox, and each receiver that is owed something is told. */
  private wake(): void {
    this.again = true;
    this.collecting ??= (async () => {
      while (this.again) {
        this.again = false;
        await this.attempt(async () => {
          await collect(this.context, this.outbox, this.journal);
          const waiting = this.outbox.notices("waiting").filter(({ channel }) => channel === "notification");
          for (const target of new Set(waiting.map((each) => each.target))) this.tell(target);
        });
      }
      this.collecting = undefined;
    })();
  }

  /** One telling at a time for each receiver, and another one where something happened in the meantime. */
  private tell(target: string): void {
    const present = this.telling.get(target);
    if (present !== undefined) {
      present.again = true;
      return;
    }
    const telling = { again: true, done: Promise.resolve() };
    this.telling.set(target, telling);
    telling.done = (async () => {
      while (telling.again && !this.over.signal.aborted) {
        telling.again = false;
        await this.attempt(() => this.deliver(this.over.signal, (notice) => notice.target === target));
      }
      this.telling.delete(target);
    })();
  }

  /** Whatever goes wrong with telling is told at the end and stops nothing. */
  private async attempt(work: () => Promise<unknown>): Promise<void> {
    try {
      await work();
    } catch (error) {
      this.problems.set("outbox", errorRecord(error).message);
    }
  }

  private async deliver(signal: AbortSignal, only: (notice: Notice) => boolean): Promise<Attempt[]> {
    const { environment, clock } = this.context;
    const attempts = await deliver(this.outbox, {
      clock,
      channels: ["notification"],
      signal,
      only,
      send: (notice, ended) => sendNotice(environment, clock, notice, ended),
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
