import { z } from "zod";
import { UsageError } from "../core/errors.ts";
import { visibleLine } from "../core/visible.ts";
import { defineOperation } from "../run/operation.ts";
import { WatchFiles } from "./files.ts";
import { findWatch, standingOf } from "./find.ts";

const output = z.object({
  run: z.string(),
  gate: z.string(),
  ended: z
    .boolean()
    .describe("Whether it has heard of it; one that is cut off hears of it when it is resumed"),
});

/** Milliseconds that it is waited for, and between two looks at whether it has ended: it glances every five seconds. */
const [patience, lookEvery] = [10_000, 100];

export const stop = defineOperation({
  name: "watch.stop",
  summary: "End a watch before its time; its step passes, and its action never runs",
  example: "watch stop 20261121-094512-k3x9 --reason 'the release is taken back'",
  effect: "change",
  // The run that watches journals who stopped it.
  journaled: false,
  input: z.strictObject({
    watch: z.string().describe("The watch: its run, the end of that, or last"),
    reason: z.string().min(1).optional().describe("Why; it is journaled with the watch"),
  }),
  positional: ["watch"],
  output,
  observe: async (context, input) => {
    const record = await findWatch(context, input.watch);
    const { state, run } = record;
    if (state.phase === "over") {
      throw new UsageError("E_WATCH_OVER", `The watch of gate ${state.gate} in run ${run} is over already`, {
        hint: `see what it saw: ops watch report ${run}`,
      });
    }
    if (state.phase === "acting") {
      throw new UsageError(
        "E_WATCH_OVER",
        `The watch of gate ${state.gate} in run ${run} has triggered, and its action is under way`,
        { hint: `follow it: ops runs watch ${run}` },
      );
    }
    return { id: state.id, run, gate: state.gate, standing: standingOf(record) };
  },
  plan: ({ gate, run }) => [
    {
      target: `gate:${gate}`,
      action: "run" as const,
      summary: `end the watch of gate ${gate} in run ${run}`,
    },
  ],
  apply: async (context, { reason }, { id, run, gate, standing }, report) => {
    const { clock, actor } = context;
    const files = new WatchFiles(context);
    await files.askToStop(id, {
      by: visibleLine(actor),
      reason: reason === undefined ? null : visibleLine(reason),
      at: clock.now().toISOString(),
    });
    const end = clock.elapsed() + patience;
    while (standing !== "cut-off" && clock.elapsed() < end) {
      if ((await files.read(id))?.state.phase === "over") return { run, gate, ended: true };
      report.progress({ message: "waiting for the watch to hear of it" });
      await clock.sleep(lookEvery, context.signal);
    }
    return { run, gate, ended: false };
  },
  render: ({ run, gate, ended }) =>
    ended
      ? `the watch of gate ${gate} in run ${run} has ended`
      : `the watch of gate ${gate} in run ${run} ends as soon as it hears of it; where it was cut off: ops runs resume ${run}`,
});
