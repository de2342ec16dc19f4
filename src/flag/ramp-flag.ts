import { OpsError } from "../core/errors.ts";
import { type FlagDefinition, sameJson } from "../flag-source/definition.ts";
import { withFlag } from "../flag-source/flag-set.ts";
import type { FlagSource } from "../flag-source/flag-source.ts";
import { isKilled, killOf } from "../flag-source/off.ts";
import type { OperationContext } from "../run/context.ts";
import { describeState } from "./shown.ts";
import { changeNote, definitionIn, openSource, withFlagSource } from "./source.ts";

/** The flag of a ramp, in one connection that is kept. */
export class RampFlag implements AsyncDisposable {
  private readonly context: OperationContext;
  private readonly source: string | undefined;
  private readonly flag: string;
  private opened: FlagSource | undefined;

  constructor(context: OperationContext, source: string | undefined, flag: string) {
    this.context = context;
    this.source = source;
    this.flag = flag;
  }

  /** What it is now; null where it was deleted. */
  read(): Promise<FlagDefinition | null> {
    return this.work(async (source) => definitionIn(await source.read(), this.flag));
  }

  /** Throws `E_FLAG_KILLED` or `E_FLAG_CHANGED` where it is anything else than what the ramp made of it. */
  async require(expected: FlagDefinition): Promise<void> {
    const present = await this.read();
    if (!sameJson(present, expected)) throw changedDuring(this.flag, present);
  }

  /** Makes it the definition, and throws as `require` does, with nothing written, where it is not what is expected. */
  async give(
    definition: FlagDefinition,
    expected: FlagDefinition,
    reason: string | undefined,
  ): Promise<void> {
    await this.work((source) =>
      source.update(changeNote(this.context, "flag.ramp", reason), (now) => {
        const present = definitionIn(now, this.flag);
        if (sameJson(present, definition)) return now;
        if (!sameJson(present, expected)) throw changedDuring(this.flag, present);
        return withFlag(now, this.flag, definition);
      }),
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.opened?.close();
    this.opened = undefined;
  }

  /** A connection that failed is not used again. */
  private async work<T>(work: (source: FlagSource) => Promise<T>): Promise<T> {
    this.opened ??= openSource(this.context, this.source);
    try {
      return await work(this.opened);
    } catch (error) {
      await this[Symbol.asyncDispose]();
      throw error;
    }
  }
}

/** What a ramp has made of a flag, and may take back. */
export interface RampTrace {
  readonly flag: string;
  readonly source?: string | undefined;
  readonly before: FlagDefinition;
  /** Of its steps. */
  readonly given: readonly FlagDefinition[];
}

/**
 * Makes the flag what it was before its ramp. Undefined: it is that now; otherwise what somebody else has made of it, which
 * stays.
 *
 * @param operation of the history: `flag.abort`
 */
export async function takeBack(
  context: OperationContext,
  { flag, source, before, given }: RampTrace,
  operation: string,
  reason: string,
): Promise<FlagDefinition | null | undefined> {
  let found: FlagDefinition | null | undefined;
  await withFlagSource(context, source, async (opened) => {
    // Where apply never ran there may be no table and no file: nothing is made for nothing.
    if (sameJson(definitionIn(await opened.read(), flag), before)) return;
    await opened.update(changeNote(context, operation, reason), (now) => {
      found = undefined;
      const present = definitionIn(now, flag);
      if (sameJson(present, before)) return now;
      if (given.some((each) => sameJson(each, present))) return withFlag(now, flag, before);
      found = present;
      return now;
    });
  });
  return found;
}

/** `deleted`, `changed, to on at 30%`. */
export function whatBecame(present: FlagDefinition | null): string {
  return present === null ? "deleted" : `changed, to ${describeState(present)},`;
}

function changedDuring(flag: string, present: FlagDefinition | null): OpsError {
  if (present !== null && isKilled(present)) {
    const { by, reason } = killOf(present);
    const who = by === undefined ? "" : ` by ${by}`;
    return new OpsError(
      "E_FLAG_KILLED",
      `Flag ${flag} was killed${who} while it was ramped${reason === undefined ? "" : `: ${reason}`}`,
      { hint: `the ramp is over; when it may come back: ops flag restore ${flag}`, retryable: false },
    );
  }
  return new OpsError(
    "E_FLAG_CHANGED",
    `Flag ${flag} was ${whatBecame(present)} by somebody else while it was ramped`,
    {
      hint: `it is left as it is, and the ramp is over; see: ops flag history ${flag}`,
      details: { is: present === null ? null : describeState(present) },
      retryable: false,
    },
  );
}
