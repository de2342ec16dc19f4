import { afterEach, beforeEach, expect, test } from "vitest";
import { WatchSite, watchWords } from "./site.ts";

let site: WatchSite;
beforeEach(() => {
  site = new WatchSite();
});
afterEach(() => site.remove());

const entries = [4, 5, 6, 7, 8, 9, 10, 11, 12, 13];

// The run, the step, its plan; from 5 on the checkpoints: the beginning, a look, the trigger, the intent, the process,
// its end, the watch's end; then the step's failure and the run's.
test.each(entries.flatMap((entry) => (["before", "after"] as const).map((when) => [entry, when] as const)))(
  "killed at entry %i, %s it is durable: resumed, the action has run once",
  async (entry, when) => {
    site.write("rate", "7%\n");
    const words = watchWords("--failures-in-a-row", "1", "--on-fail", "./act");
    const killed = await site.killedAt(entry, when, words);
    expect(killed.signal, killed.stderr).toBe("SIGKILL");

    const resumed = await site.ops(["runs", "resume", "last", "--yes"]);

    expect(resumed.exitCode, resumed.stderr).toBe(3);
    expect(site.lines("acted")).toHaveLength(1);
    expect(await site.report()).toMatchObject({
      verdict: "triggered",
      action: { state: "done", repeated: false },
    });
  },
);
