import { createInterface } from "node:readline";
import { runAutocannon } from "./autocannon.ts";
import { runK6 } from "./k6.ts";
import { LoadFailure, type LoadMessage, loadPlanSchema } from "./plan.ts";

/**
 * A program of its own that makes a load, so that what measures is not disturbed by what shows it. Its first line of
 * input is the plan (`LoadPlan` as JSON), a second one ends the load early; every line of output is a `LoadMessage`. It
 * ends as soon as its input does: no load outlives who asked for it, however that ended.
 */
const stop = new AbortController();
const lines = createInterface({ input: process.stdin });

lines.once("line", (text) => {
  lines.once("line", () => stop.abort());
  void make(text);
});
lines.once("close", () => process.exit(1));
process.stdout.once("error", () => process.exit(1));

async function make(text: string): Promise<void> {
  try {
    const plan = loadPlanSchema.parse(JSON.parse(text));
    const run = plan.engine === "k6" ? runK6 : runAutocannon;
    const figures = await run(plan, stop.signal, (interval) => tell({ type: "interval", interval }));
    tell({ type: "done", figures });
  } catch (error) {
    const code = error instanceof LoadFailure ? error.code : "E_LOAD_GENERATOR";
    tell({ type: "failed", code, message: error instanceof Error ? error.message : String(error) });
  }
  process.stdout.write("", () => process.exit(0));
}

function tell(message: LoadMessage): void {
  process.stdout.write(`${JSON.stringify(message)}\n`);
}
