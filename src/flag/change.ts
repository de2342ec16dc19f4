import { z } from "zod";
import { OpsError } from "../core/errors.ts";
import { type FlagDefinition, sameJson } from "../flag-source/definition.ts";
import { type FlagSet, withFlag } from "../flag-source/flag-set.ts";
import { isKilled, killOf } from "../flag-source/off.ts";
import { prepared } from "../flag-source/prepared.ts";
import { defineOperation, type Operation, type UndoResult } from "../run/operation.ts";
import { describeFlag, describeState, flagOutput, type ShownFlag, shown } from "./shown.ts";
import {
  changeNote,
  definitionIn,
  flagName,
  reason,
  refuseUnreadable,
  requireFlag,
  source,
  withFlagSource,
} from "./source.ts";

/** What `observe` of a change to one flag saw. */
export type FlagBefore = {
  definition: FlagDefinition | null;
  /** When and for whom the change is made; what it writes depends on nothing else. */
  at: string;
  actor: string;
};

const common = { flag: flagName, source, reason };

type Common = { flag: string; source?: string | undefined; reason?: string | undefined };

interface FlagChangeDefinition<S extends z.ZodRawShape> {
  readonly name: `flag.${string}`;
  readonly summary: string;
  readonly example: string;
  /** Beside the flag, its source and the reason. */
  readonly input: S;
  readonly positional?: readonly (keyof S & string)[];
  /** What a plan says: `kill flag NAME`. */
  readonly verb: string;
  /** Default: a flag that is not there is refused. */
  readonly makes?: true;
  /** Default: a flag that was killed is left alone. */
  readonly throughKill?: true;
  /** Default: what stands in the place of a flag and cannot be read is refused. */
  readonly throughMistakes?: true;
  /**
   * Set for a change that nobody may hold up: it takes no lock, and is made to whatever the flag is by then. Of what it
   * has written: what the flag was before; undefined where it has not written that.
   */
  readonly beforeIt?: (written: FlagDefinition) => FlagDefinition | undefined;
  /** What is said of the flag when it is done. Default: its state and rollout. */
  readonly done?: string;
  /** Pure: what the flag should be. Throws where that cannot be. Null takes it away. */
  edit(
    before: FlagDefinition | null,
    input: z.output<z.ZodObject<S>> & Common,
    at: { readonly now: Date; readonly actor: string },
  ): FlagDefinition | null;
}

/**
 * An operation that changes one flag. What it writes is held to lint before anything is done, is refused where the flag
 * was changed since it was looked at, and is taken back exactly by undo, unless somebody changed the flag in between.
 */
export function defineFlagChange<S extends z.ZodRawShape>(definition: FlagChangeDefinition<S>): Operation {
  type Input = z.output<z.ZodObject<S>> & Common;
  const wanted = (before: FlagBefore, input: Input): FlagDefinition | null =>
    definition.edit(before.definition, input, { now: new Date(before.at), actor: before.actor });
  /** Of a change that goes over everything: what it makes of what is there. */
  const over = (present: FlagDefinition | null, before: FlagBefore, input: Input): FlagDefinition | null =>
    definition.beforeIt === undefined || present === null
      ? wanted(before, input)
      : wanted({ ...before, definition: present }, input);
  const standing = (set: FlagSet, flag: string): FlagDefinition | null => {
    if (definition.throughMistakes !== true) return definitionIn(set, flag);
    return definitionIn(set, flag) ?? ((set.unreadable?.get(flag) ?? null) as FlagDefinition | null);
  };
  const shape = { flag: common.flag, ...definition.input, source: common.source, reason: common.reason };
  const input = z.strictObject(shape) as unknown as z.ZodObject;
  return defineOperation({
    name: definition.name,
    summary: definition.summary,
    example: definition.example,
    effect: "change",
    input,
    positional: ["flag", ...(definition.positional ?? [])],
    output: z.object(flagOutput),
    targets: (given) => (definition.beforeIt === undefined ? [`flag:${(given as Input).flag}`] : []),
    observe: async (context, given): Promise<FlagBefore> => {
      const typed = given as Input;
      const set = await withFlagSource(context, typed.source, (opened) => opened.read());
      if (definition.throughMistakes !== true) refuseUnreadable(set, typed.flag);
      const found = standing(set, typed.flag) ?? (definition.makes ? null : requireFlag(set, typed.flag));
      if (found !== null && !definition.throughKill) refuseKilled(typed.flag, found);
      const before = {
        definition: found,
        at: context.clock.now().toISOString(),
        actor: context.actor,
      };
      // Whatever is wrong with it is said before anything is done.
      prepared(set, (now) => withFlag(now, typed.flag, wanted(before, typed)), { reason: typed.reason });
      return before;
    },
    plan: (before, given) => {
      const { flag } = given as Input;
      const after = wanted(before, given as Input);
      if (sameJson(before.definition, after)) return [];
      const target = `flag:${flag}`;
      if (after === null) {
        return [{ target, action: "delete" as const, summary: `${definition.verb} ${flag}` }];
      }
      const to = describeFlag(after);
      return before.definition === null
        ? [{ target, action: "create" as const, summary: `create flag ${flag}`, to }]
        : [
            {
              target,
              action: "update" as const,
              summary: `${definition.verb} ${flag}`,
              from: describeFlag(before.definition),
              to,
            },
          ];
    },
    apply: async (context, given, before): Promise<ShownFlag> => {
      const typed = given as Input;
      let after = wanted(before, typed);
      await withFlagSource(context, typed.source, (opened) =>
        opened.update(changeNote(context, definition.name, typed.reason), (now) => {
          const present = standing(now, typed.flag);
          after = over(present, before, typed);
          if (sameJson(present, after)) return now;
          const goesOver = definition.beforeIt !== undefined && present !== null;
          if (!goesOver && !sameJson(present, before.definition)) throw changedSince(now, typed.flag, before);
          return withFlag(now, typed.flag, after);
        }),
      );
      // Of one that is gone, what it was.
      return shown(typed.flag, after ?? (before.definition as FlagDefinition), new Date(before.at));
    },
    undo: async (context, given, before): Promise<UndoResult> => {
      const typed = given as Input;
      const after = wanted(before, typed);
      let found: string | undefined;
      await withFlagSource(context, typed.source, async (opened) => {
        const present = standing(await opened.read(), typed.flag);
        // Where apply never ran there may be no table and no file: nothing is made for an undo of nothing.
        if (sameJson(present, before.definition)) return;
        const why = typed.reason ?? "the change is taken back";
        await opened.update(changeNote(context, `${definition.name} undone`, why), (now) => {
          found = undefined;
          const current = standing(now, typed.flag);
          if (sameJson(current, before.definition)) return now;
          if (sameJson(current, after)) return withFlag(now, typed.flag, before.definition);
          const was = current === null ? undefined : definition.beforeIt?.(current);
          if (was !== undefined && sameJson(over(was, before, typed), current)) {
            return withFlag(now, typed.flag, was);
          }
          found = current === null ? "deleted" : `changed, to ${describeState(current)},`;
          return now;
        });
      });
      if (found === undefined) return { undone: true };
      return {
        undone: false,
        note: `flag ${typed.flag} was ${found} by somebody else in the meantime and is left as it is: ops flag history ${typed.flag}`,
      };
    },
    render: (output) => {
      const { flag, state, rollout } = output as ShownFlag;
      if (definition.done !== undefined) return `flag ${flag} ${definition.done}`;
      return `flag ${flag} is ${state}${rollout === null ? (state === "on" ? " by rules" : "") : `, rollout ${Number(rollout.toFixed(3))}%`}`;
    },
  });
}

/** Throws `E_FLAG_KILLED` where nothing but a restore may change it. */
export function refuseKilled(flag: string, found: FlagDefinition): void {
  if (isKilled(found)) {
    const { at, by, reason: why } = killOf(found);
    throw new OpsError(
      "E_FLAG_KILLED",
      `Flag ${flag} was killed${by === undefined ? "" : ` by ${by}`}${at === undefined ? "" : ` at ${at}`}${why === undefined ? "" : ` (${why})`}: nothing else changes it`,
      { hint: `when it may come back: ops flag restore ${flag}`, retryable: false },
    );
  }
}

function changedSince(now: FlagSet, flag: string, before: FlagBefore): OpsError {
  const present = now.flags.get(flag);
  const by = present?.changedBy;
  return new OpsError(
    "E_FLAG_CHANGED",
    `Flag ${flag} was ${present === undefined ? "deleted" : "changed"}${by == null ? "" : ` by ${by}`} since it was looked at`,
    {
      hint: "nothing was written; look at the new plan and run it again",
      details: {
        was: before.definition === null ? null : describeFlag(before.definition),
        is: present === undefined ? null : describeFlag(present.definition),
      },
      retryable: false,
    },
  );
}

/** A flag that is changed was there when it was looked at: `observe` has refused it otherwise. */
export function existing(before: FlagDefinition | null): FlagDefinition {
  if (before === null) throw new Error("a flag that is not there was not refused");
  return before;
}
