import { setTimeout as delay } from "node:timers/promises";
import { errorRecord, UsageError } from "../core/errors.ts";
import { type Evaluation, Evaluator } from "../flag-source/evaluator.ts";
import { documentOf, type FlagSet } from "../flag-source/flag-set.ts";
import { findings } from "../flag-source/lint.ts";

/** Milliseconds until a source that cannot be read is asked again. */
const retryAfter = 1000;

/** What a server needs of a source: everything, and a call for each change. */
export interface FollowedSource {
  /** On a connection of its own each time: one that broke must not end the serving. */
  read(): Promise<FlagSet>;
  watch(changed: () => void, signal: AbortSignal): Promise<void>;
}

/**
 * The newest flags that are without mistakes. A source that is away, or that somebody broke by hand, changes nothing
 * but `problem`: the flags of before are served on.
 */
export class ServedFlags {
  private readonly source: FollowedSource;
  private readonly now: () => Date;
  private readonly evaluator: Evaluator;
  private set: FlagSet;
  private text: string;
  private readonly listeners = new Set<() => void>();
  /** When these flags were read, or found to be the same still. */
  confirmedAt: Date;
  /** Why they may be old; undefined: they are what the source has. */
  problem: string | undefined;

  private constructor(source: FollowedSource, now: () => Date, set: FlagSet) {
    this.source = source;
    this.now = now;
    this.set = set;
    this.text = JSON.stringify(documentOf(set));
    this.evaluator = new Evaluator(set);
    this.confirmedAt = now();
  }

  /** Throws where the source cannot be read, and `E_FLAG_INVALID` where it holds mistakes. */
  static async load(source: FollowedSource, now: () => Date): Promise<ServedFlags> {
    return new ServedFlags(source, now, await readValid(source));
  }

  get names(): readonly string[] {
    return [...this.set.flags.keys()];
  }

  has(name: string): boolean {
    return this.set.flags.has(name);
  }

  metadataOf(name: string) {
    return this.set.flags.get(name)?.definition.metadata;
  }

  evaluate(name: string, context: Parameters<Evaluator["evaluate"]>[1]): Evaluation {
    return this.evaluator.evaluate(name, context);
  }

  /** Calls back after every change, until the returned function is called. */
  onChange(listener: () => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  /** Until the signal aborts. A source that goes away is waited for. */
  async follow(signal: AbortSignal): Promise<void> {
    let reading = Promise.resolve();
    let asked = 0;
    const changed = () => {
      asked += 1;
      const own = asked;
      // What is behind another question in the queue has its answer from that one.
      reading = reading.then(() => (own === asked ? this.renew(signal) : undefined));
    };
    while (!signal.aborted) {
      try {
        await this.source.watch(changed, signal);
      } catch (error) {
        this.problem = reasonOf(error);
        await delay(retryAfter, undefined, { signal }).catch(() => undefined);
      }
    }
    await reading;
  }

  /** Reads until it succeeds. */
  private async renew(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      try {
        const set = await readValid(this.source);
        refuseEmptied(this.set, set);
        const text = JSON.stringify(documentOf(set));
        this.confirmedAt = this.now();
        this.problem = undefined;
        if (text === this.text) return;
        this.set = set;
        this.text = text;
        this.evaluator.load(set);
        for (const listener of this.listeners) listener();
        return;
      } catch (error) {
        this.problem = reasonOf(error);
        await delay(retryAfter, undefined, { signal }).catch(() => undefined);
      }
    }
  }
}

async function readValid(source: FollowedSource): Promise<FlagSet> {
  const set = await source.read();
  const wrong = findings(set).filter((each) => each.severity === "error");
  const [first] = wrong;
  if (first === undefined) return set;
  const more = wrong.length === 1 ? "" : ` (and ${wrong.length - 1} more mistakes)`;
  throw new UsageError("E_FLAG_INVALID", `The ${first.subject} ${first.name}: ${first.message}${more}`, {
    hint: first.hint ?? "mend it by hand, as it was made: no command of ops stores it",
  });
}

/**
 * A file that is replaced in two steps or whose disk is gone, a schema that was dropped: nobody removes the last of many
 * flags on purpose, and then a server that begins anew serves none.
 */
function refuseEmptied(before: FlagSet, now: FlagSet): void {
  if (now.flags.size > 0 || before.flags.size === 0) return;
  throw new UsageError("E_FLAG_UNKNOWN", "The source has no flags any more", {
    hint: "where that is meant, start the server again",
  });
}

const reasonOf = (error: unknown) => errorRecord(error).message;
