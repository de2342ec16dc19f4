import { setTimeout as delay } from "node:timers/promises";
import { errorRecord, UsageError } from "../core/errors.ts";
import { differences } from "../flag-source/differences.ts";
import { type Evaluation, Evaluator } from "../flag-source/evaluator.ts";
import { documentOf, emptySet, type FlagSet } from "../flag-source/flag-set.ts";
import { usersOf } from "../flag-source/segment-users.ts";
import { type Mistake, type Servable, servable } from "./servable.ts";

/** Milliseconds until a source that cannot be read is asked again. */
const retryAfter = 1000;

/** What a server needs of a source: everything, and a call for each change. */
export interface FollowedSource {
  /** On a connection of its own each time: one that broke must not end the serving. */
  read(): Promise<FlagSet>;
  watch(changed: () => void, signal: AbortSignal): Promise<void>;
}

/**
 * The newest flags that are without mistakes. A source that is away, or that cannot be read, changes nothing but
 * `problem`: the flags of before are served on. A flag that somebody broke by hand keeps none of the others from changing.
 */
export class ServedFlags {
  private readonly source: FollowedSource;
  private readonly now: () => Date;
  private readonly evaluator: Evaluator;
  /** As the source has them. */
  private stored: FlagSet;
  private served: Servable;
  private text: string;
  private readonly listeners = new Set<() => void>();
  /** When these flags were read, or found to be the same still. */
  confirmedAt: Date;
  /** Why they may be old; undefined: they are what the source has. */
  problem: string | undefined;

  private constructor(source: FollowedSource, now: () => Date, stored: FlagSet) {
    this.source = source;
    this.now = now;
    this.stored = stored;
    this.served = servable(stored, emptySet);
    this.text = textOf(this.served);
    this.evaluator = new Evaluator(this.served.set);
    this.confirmedAt = now();
  }

  /** Throws where the source cannot be read. */
  static async load(source: FollowedSource, now: () => Date): Promise<ServedFlags> {
    return new ServedFlags(source, now, await source.read());
  }

  /** What is wrong in the source, by hand. */
  get mistakes(): readonly Mistake[] {
    return this.served.mistakes;
  }

  get names(): readonly string[] {
    const { set, mistakes } = this.served;
    const unserved = mistakes.filter(({ subject, isKept }) => subject === "flag" && !isKept);
    return [...set.flags.keys(), ...unserved.map((each) => each.name)];
  }

  has(name: string): boolean {
    return this.served.set.flags.has(name) || this.mistakeOf(name) !== undefined;
  }

  metadataOf(name: string) {
    return this.served.set.flags.get(name)?.definition.metadata;
  }

  evaluate(name: string, context: Parameters<Evaluator["evaluate"]>[1]): Evaluation {
    const mistake = this.mistakeOf(name);
    if (mistake === undefined) return this.evaluator.evaluate(name, context);
    const errorMessage = `the flag ${mistake.message}`;
    return { value: undefined, variant: undefined, reason: "ERROR", errorCode: "PARSE_ERROR", errorMessage };
  }

  /** Of a flag that cannot be served at all. */
  private mistakeOf(name: string): Mistake | undefined {
    if (this.served.set.flags.has(name)) return undefined;
    return this.served.mistakes.find((each) => each.subject === "flag" && each.name === name);
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
        const stored = await this.source.read();
        refuseEmptied(this.stored, stored);
        const served = servable(stored, this.served.set, this.suspects(stored));
        const text = textOf(served);
        this.stored = stored;
        this.served = served;
        this.confirmedAt = this.now();
        this.problem = undefined;
        if (text === this.text) return;
        this.text = text;
        this.evaluator.load(served.set);
        for (const listener of this.listeners) listener();
        return;
      } catch (error) {
        this.problem = reasonOf(error);
        await delay(retryAfter, undefined, { signal }).catch(() => undefined);
      }
    }
  }

  /** What has changed since it was read, what uses that, and what was wrong; undefined: everything, another order counts. */
  private suspects(stored: FlagSet): ReadonlySet<string> | undefined {
    const before = [...this.stored.evaluators.keys()];
    if (JSON.stringify(before) !== JSON.stringify([...stored.evaluators.keys()])) return undefined;
    const found = differences(this.stored, stored);
    const wrong = this.served.mistakes.filter((each) => each.subject === "segment");
    const segments = [...found.filter((each) => each.subject === "segment"), ...wrong].map(
      (each) => each.name,
    );
    const users = usersOf(stored, segments);
    const named = [...found, ...this.served.mistakes].map((each) => each.name);
    return new Set([...named, ...users.flags, ...users.segments]);
  }
}

function textOf({ set, mistakes }: Servable): string {
  return JSON.stringify([documentOf(set), mistakes]);
}

/**
 * A file that is replaced in two steps or whose disk is gone, a schema that was dropped: nobody removes the last of many
 * flags on purpose, and then a server that begins anew serves none.
 */
function refuseEmptied(before: FlagSet, now: FlagSet): void {
  const sizeOf = ({ flags, unreadable }: FlagSet) => flags.size + (unreadable?.size ?? 0);
  if (sizeOf(now) > 0 || sizeOf(before) === 0) return;
  throw new UsageError("E_FLAG_UNKNOWN", "The source has no flags any more", {
    hint: "where that is meant, start the server again",
  });
}

const reasonOf = (error: unknown) => errorRecord(error).message;
