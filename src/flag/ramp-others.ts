import { z } from "zod";
import { UsageError } from "../core/errors.ts";
import { formatPercent } from "../core/percent.ts";
import { liveness } from "../process/live-process.ts";
import { abortRecorded, promoteRecorded } from "../rollout/asked.ts";
import type { Paused } from "../rollout/record.ts";
import type { OperationContext } from "../run/context.ts";
import { defineOperation } from "../run/operation.ts";
import { takeBack } from "./ramp-flag.ts";
import { RampFiles, type RampRecord } from "./ramp-record.ts";
import { describeFlag, describeState } from "./shown.ts";
import { definitionIn, flagName, reason, source, withFlagSource } from "./source.ts";

const rampReason = reason.describe("Why; it is in the history, and journaled with the ramp's run");

export const abort = defineOperation({
  name: "flag.abort",
  summary: "End a flag's ramp and make the flag what it was before, at once and whatever it is doing",
  example: "flag abort new-checkout --reason 'customers cannot check out'",
  effect: "change",
  // It must work beside the run that holds the flag's lock, which journals what became of it.
  journaled: false,
  input: z.strictObject({
    flag: flagName,
    source,
    reason: rampReason,
    lease: z
      .string()
      .regex(/^[0-9a-f]{16}$/)
      .optional()
      .describe("Only this attempt of a ramp: its watchdog gives it; another one is left alone"),
  }),
  positional: ["flag"],
  output: z.object({
    flag: z.string(),
    variant: z.string().nullable().describe("What the ramp had given out; null: there was none"),
    run: z.string().nullable().describe("The ramp's run"),
    state: z.string().describe("What users get now"),
    restored: z
      .boolean()
      .describe("Whether the flag is what it was before; else somebody has changed it since"),
    acknowledged: z.boolean().describe("Whether the ramp has ended, or had ended before"),
  }),
  async observe(context, { flag, source, lease }): Promise<{ record: RampRecord | null }> {
    const record = await new RampFiles(context, source, flag).read();
    if (record === undefined && lease === undefined) {
      throw new UsageError(
        "E_NO_RAMP",
        `No ramp of flag ${flag} is under way, as far as this machine knows`,
        {
          hint: `turn it off: ops flag kill ${flag}; or take its run back: ops runs list, ops runs rollback`,
        },
      );
    }
    const isMeant = record !== undefined && (lease === undefined || record.token === lease);
    return { record: isMeant ? record : null };
  },
  plan: ({ record }, { flag }) =>
    record === null
      ? []
      : [
          {
            target: `flag:${flag}`,
            action: "update",
            summary: `make flag ${flag} what it was before its ramp`,
            to: describeFlag(record.before),
          },
        ],
  async apply(context, { flag, source, reason: why }, { record }, report) {
    if (record === null) {
      const state = await stateNow(context, source, flag);
      return { flag, variant: null, run: null, state, restored: true, acknowledged: true };
    }
    const files = new RampFiles(context, source, flag);
    const trace = { flag, source, before: record.before, given: record.given };
    let others: Awaited<ReturnType<typeof takeBack>>;
    const acknowledged = await abortRecorded(
      context,
      files,
      record,
      why,
      async () => {
        others = await takeBack(context, trace, "flag.abort", why ?? "the ramp was aborted");
      },
      () => report.progress({ message: "the flag is what it was; waiting for the ramp to end" }),
    );
    const { version: variant, run } = record;
    const state = await stateNow(context, source, flag);
    return { flag, variant, run, state, restored: others === undefined, acknowledged };
  },
  render({ flag, variant, state, restored, acknowledged }) {
    if (variant === null) return `flag ${flag}: nothing to abort; it is ${state}`;
    const heard = acknowledged
      ? ""
      : "; its process has not answered yet, and gives nothing to it when it does";
    return restored
      ? `flag ${flag} is ${state}, as before; the ramp of ${variant} is aborted${heard}`
      : `flag ${flag} is ${state}, which somebody else made of it; the ramp of ${variant} is aborted${heard}`;
  },
});

export const promote = defineOperation({
  name: "flag.promote",
  summary: "Let a flag's ramp go on from its pause",
  example: "flag promote new-checkout --reason 'the figures of the first hour are fine'",
  effect: "change",
  // It must work beside the run that holds the flag's lock, which journals who promoted it.
  journaled: false,
  input: z.strictObject({ flag: flagName, source, reason: rampReason }),
  positional: ["flag"],
  output: z.object({
    flag: z.string(),
    variant: z.string(),
    run: z.string().nullable().describe("The ramp's run"),
    share: z.number().describe("Percent of the users who have it in the pause"),
    acknowledged: z.boolean().describe("Whether the ramp has heard of it"),
  }),
  async observe(context, { flag, source }): Promise<{ record: RampRecord; paused: Paused }> {
    const record = await new RampFiles(context, source, flag).read();
    if (record === undefined) {
      throw new UsageError(
        "E_NO_RAMP",
        `No ramp of flag ${flag} is under way, as far as this machine knows`,
        {
          hint: "promote it on the machine and in the folder where it runs; see: ops runs list",
        },
      );
    }
    if (liveness(record.process) === "gone") {
      throw new UsageError("E_RAMP_NOT_PAUSED", `The ramp of flag ${flag} does not run any more`, {
        hint: `let it go on first: ops runs resume; or take it back: ops flag abort ${flag}`,
      });
    }
    if (record.paused === null) {
      throw new UsageError(
        "E_RAMP_NOT_PAUSED",
        `The ramp of flag ${flag} is not paused: it goes on by itself`,
        {
          hint: 'a pause is a step of its own: steps: [10%, pause, 50%, "pause: 30m", 100%]',
        },
      );
    }
    return { record, paused: record.paused };
  },
  plan: ({ paused }, { flag }) => [
    {
      target: `flag:${flag}`,
      action: "run",
      summary: `let the ramp of flag ${flag} go on from ${formatPercent(paused.share)}`,
    },
  ],
  async apply(context, { flag, source, reason: why }, { record, paused }, report) {
    const files = new RampFiles(context, source, flag);
    const acknowledged = await promoteRecorded(context, files, record, paused, why, () =>
      report.progress({ message: "waiting for the ramp to hear of it" }),
    );
    return { flag, variant: record.version, run: record.run, share: paused.share, acknowledged };
  },
  render: ({ flag, variant, share, acknowledged }) =>
    acknowledged
      ? `flag ${flag}: the ramp of ${variant} goes on from ${formatPercent(share)}`
      : `flag ${flag}: the ramp of ${variant} has not heard of it; see: ops runs list`,
});

async function stateNow(
  context: OperationContext,
  source: string | undefined,
  flag: string,
): Promise<string> {
  const set = await withFlagSource(context, source, (opened) => opened.read());
  const definition = definitionIn(set, flag);
  return definition === null ? "deleted" : describeState(definition);
}
