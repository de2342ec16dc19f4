import { z } from "zod";
import { command, type WatchTrigger, watchSchema, watchTrigger } from "../config/watch-schema.ts";
import { formatDuration } from "../core/duration.ts";
import { UsageError } from "../core/errors.ts";
import { duration, name } from "../core/schema.ts";
import { suggestion } from "../core/suggestion.ts";
import { type ConfiguredCheck, configuredChecks, unitsOf } from "../run/configured-check.ts";
import type { OperationContext } from "../run/context.ts";
import { isOps, runsWord } from "./own-command.ts";

const { shape } = watchSchema;

export const watchInput = z
  .strictObject({
    watch: name("A watch of .opsrc; what is given here beside it counts more").optional(),
    gate: name("The gate that is measured; without a watch of .opsrc it must be given").optional(),
    for: duration("How long it is watched (default: 1h)").optional(),
    every: duration("Time from one look to the next (default: 1m)").optional(),
    trigger: z
      .array(watchTrigger)
      .optional()
      .describe(
        "A check that triggers in its own way: 'health 3 in a row', 'errors > 5% for 2m', 'errors > 5%'",
      ),
    "failures-in-a-row": shape["failures-in-a-row"].describe(
      "So many no-go looks in a row trigger (default: 3)",
    ),
    "on-fail": command(
      "What runs once when a trigger fires, read without a shell; ops is this very command",
    ).optional(),
    "on-fail-repeat": z
      .boolean()
      .optional()
      .describe("It is safe to run it a second time, where ops was cut off and cannot tell whether it ran"),
    "on-fail-timeout": duration("How long it may take (default: 1h)").optional(),
    variables: shape.variables,
    timeout: duration("How long a check without a timeout of its own may take (default: 30s)").optional(),
    background: z
      .boolean()
      .default(false)
      .describe("Leave it behind as a process of its own, which ticks of the schedules take up again"),
    "leave-behind": z
      .boolean()
      .default(false)
      .describe("Where this process ends too early, the next tick of the schedules goes on with it"),
  })
  .refine((each) => each.watch !== undefined || each.gate !== undefined, {
    path: ["gate"],
    error: "is missing: name the gate, or a watch of .opsrc",
  });
export type WatchInput = z.output<typeof watchInput>;

/** One of the ways in which a watch can trigger. */
export interface Trigger {
  /** Unique in a watch, and how it is shown: `no-go 3 in a row`, `errors > 5% for 2m`. */
  readonly text: string;
  /** The checks any of which failing counts. */
  readonly checks: readonly string[];
  /** Whether it is a check's own, which counts also where the gate does not require the check. */
  readonly isOwn: boolean;
  /** In place of the check's own limit. */
  readonly limit: WatchTrigger["fail"];
  readonly needs: { readonly looks: number } | { readonly ms: number };
}

/** A watch with everything decided. Times in milliseconds. */
export interface WatchSettings {
  /** As people call it: the name in .opsrc, else the gate's. */
  readonly title: string;
  readonly gate: string;
  readonly for: number;
  readonly every: number;
  readonly triggers: readonly Trigger[];
  readonly onFail: readonly string[] | undefined;
  readonly onFailRepeat: boolean;
  readonly onFailTimeout: number;
  readonly variables: readonly string[];
  readonly timeout: number;
  readonly checks: readonly ConfiguredCheck[];
}

/** Throws usage errors: for a gate or a check that is not there, a trigger that cannot fire, an action that cannot work. */
export async function watchSettings(context: OperationContext, input: WatchInput): Promise<WatchSettings> {
  const own = input.watch === undefined ? undefined : context.environment.watch(input.watch);
  const gate = input.gate ?? own?.gate ?? "";
  const checks = configuredChecks(gate, context.environment.gate(gate), await context.checks());
  const every = input.every ?? own?.every ?? 60_000;
  const length = input.for ?? own?.for ?? 3_600_000;
  if (every < shortest) {
    throw invalid(`every ${formatDuration(every)} is too often`, `write at least ${shortest}ms`);
  }
  if (length < every) {
    throw invalid(
      `it lasts ${formatDuration(length)} and looks every ${formatDuration(every)}: it would look once`,
      "use ops gate check, or watch for longer",
    );
  }
  const onFail = input["on-fail"] ?? own?.["on-fail"];
  if (onFail !== undefined) refuseHopeless(context, onFail, input.background);
  return {
    title: input.watch ?? gate,
    gate,
    for: length,
    every,
    triggers: triggersOf(
      gate,
      checks,
      input.trigger ?? own?.triggers ?? [],
      input["failures-in-a-row"] ?? own?.["failures-in-a-row"] ?? 3,
      length,
    ),
    onFail,
    onFailRepeat: input["on-fail-repeat"] ?? own?.["on-fail-repeat"] ?? false,
    onFailTimeout: input["on-fail-timeout"] ?? own?.["on-fail-timeout"] ?? 3_600_000,
    variables: input.variables ?? own?.variables ?? [],
    timeout: input.timeout ?? own?.timeout ?? 30_000,
    checks,
  };
}

/** Milliseconds */
const shortest = 50;

/** A check with a trigger of its own is left to it; all others make the gate's no-go. */
function triggersOf(
  gate: string,
  checks: readonly ConfiguredCheck[],
  written: readonly WatchTrigger[],
  usual: number,
  length: number,
): Trigger[] {
  const own = written.map((each): Trigger => {
    const check = checks.find(({ id }) => id === each.check);
    if (check === undefined) {
      throw invalid(
        `the gate ${gate} has no check "${each.check}" to trigger on`,
        suggestion(
          each.check,
          checks.map(({ id }) => id),
        ),
      );
    }
    const allowed = unitsOf(check.check, check.input);
    if (each.fail !== undefined && allowed !== undefined && !allowed.includes(each.fail.unit)) {
      throw invalid(
        `the limit "${each.fail.text}" has the wrong unit for ${each.check}, a check of kind ${check.check.kind}`,
        `it needs a ${allowed.join(" or a ")}`,
      );
    }
    if (each.for !== undefined && each.for >= length) {
      throw invalid(
        `${each.check} would have to fail for ${formatDuration(each.for)}, and the watch lasts no longer`,
        "watch for longer, or trigger sooner",
      );
    }
    const looks = each["failures-in-a-row"] ?? usual;
    const limit = each.fail === undefined ? "" : ` ${each.fail.text}`;
    return {
      text: `${each.check}${limit} ${each.for === undefined ? inARow(looks) : `for ${formatDuration(each.for)}`}`,
      checks: [each.check],
      isOwn: true,
      limit: each.fail,
      needs: each.for === undefined ? { looks } : { ms: each.for },
    };
  });
  const rest = checks.filter(({ id }) => !written.some((each) => each.check === id)).map(({ id }) => id);
  if (rest.length === 0) return own;
  return [
    { text: `no-go ${inARow(usual)}`, checks: rest, isOwn: false, limit: undefined, needs: { looks: usual } },
    ...own,
  ];
}

function inARow(looks: number): string {
  return `${looks} in a row`;
}

/** What would fail at the very moment that it is needed. */
function refuseHopeless(context: OperationContext, words: readonly string[], background: boolean): void {
  const run = runsWord(words);
  if (!isOps(words) || run === undefined) return;
  if (run === "last") {
    throw invalid(
      "on-fail names the run as last, which is the watch itself by then",
      "name the run: ops runs list shows it; in a runbook write ${{ run.id }}",
    );
  }
  if (run === context.runId && !background) {
    throw invalid(
      "on-fail would take back the run that waits for the watch, which is locked as long as it waits",
      "leave on-fail out: the step fails and on-failure: rollback does it; or add background: true",
    );
  }
}

export function invalid(message: string, hint: string): UsageError {
  return new UsageError("E_WATCH", `This watch cannot be: ${message}`, { hint });
}
