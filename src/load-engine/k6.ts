import { type ChildProcess, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { Figures } from "./figures.ts";
import { parsePoint } from "./k6-output.ts";
import { k6Script } from "./k6-script.ts";
import { isExpected, LoadFailure, type LoadFigures, type LoadInterval, type LoadPlan } from "./plan.ts";

/** k6 tells its points about once a second: an interval is told when no more of it are to come. */
const lateness = 3000;
/** Milliseconds that k6 has to end after it was asked to. */
const grace = 5000;

/**
 * Makes the load with k6 until its time is over or `stop` aborts; k6 ends with this process. The script goes over
 * standard input and what is secret in it over the environment. Throws `LoadFailure`.
 */
export async function runK6(
  plan: LoadPlan,
  stop: AbortSignal,
  tell: (interval: LoadInterval) => void,
): Promise<LoadFigures> {
  // Points come on standard output; without --quiet its banner would too.
  const args = ["run", "--quiet", "--no-summary", "--no-usage-report", "--out", "json=-", "-"];
  const child = spawn(plan.program ?? "k6", args, {
    stdio: ["pipe", "pipe", "pipe"],
    env: { ...process.env, OPS_LOAD: JSON.stringify(plan) },
  });
  const ended = endOf(child);
  process.once("exit", () => child.kill("SIGKILL"));
  let said = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    said = (said + text).slice(-2000);
  });
  child.stdin.on("error", () => undefined);
  child.stdin.end(k6Script);

  const figures = new Figures(plan);
  let started: number | undefined;
  let last = 0;
  let insist: NodeJS.Timeout | undefined;
  const end = () => {
    child.kill("SIGINT");
    insist = setTimeout(() => child.kill("SIGKILL"), grace);
  };
  if (stop.aborted) end();
  else stop.addEventListener("abort", end, { once: true });
  try {
    for await (const line of createInterface({ input: child.stdout })) {
      const point = parsePoint(line);
      if (point === undefined) continue;
      // A point has the time at which its request ended.
      started ??= point.at - (point.kind === "answer" ? point.ms : 0);
      last = Math.max(last, point.at - started);
      if (point.kind !== "answer") continue;
      const { status, step, ms, bytes } = point;
      const kind = isExpected(status, plan.steps[step] ?? {}) ? "good" : "status";
      const failed = point.timedOut ? ({ kind: "timeout" } as const) : ({ kind: "connection" } as const);
      figures.record(
        Math.max(0, point.at - started),
        step,
        status === 0 ? failed : { kind, status, ms, bytes },
      );
      for (const interval of figures.closeUntil(last - lateness)) tell(interval);
    }
    const { code, error } = await ended;
    const isFine = code === 0 || (stop.aborted && code !== null);
    if (error !== undefined || !isFine) {
      const why = error?.message ?? `it ended with exit code ${code}`;
      throw new LoadFailure(
        "E_LOAD_GENERATOR",
        `k6 failed: ${why}${said === "" ? "" : `; it says: ${said.trim()}`}`,
      );
    }
  } finally {
    clearTimeout(insist);
    stop.removeEventListener("abort", end);
  }
  return figures.finish(stop.aborted ? last : plan.durationMs);
}

function endOf(child: ChildProcess): Promise<{ code: number | null; error?: Error }> {
  return new Promise((resolve) => {
    child.once("error", (error) => resolve({ code: null, error }));
    child.once("close", (code) => resolve({ code }));
  });
}
