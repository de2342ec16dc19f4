import { z } from "zod";
import { formatDuration } from "../core/duration.ts";
import { ExitCode, OpsError } from "../core/errors.ts";
import { showUrl } from "../http/client.ts";
import { makeLoad } from "../load-engine/make-load.ts";
import { loadFiguresSchema } from "../load-engine/plan.ts";
import {
  type LoadResult,
  LoadResults,
  loadResultSchema,
  thresholdAnswerSchema,
} from "../measured-series/load-result.ts";
import { thisMachine } from "../measured-series/machine.ts";
import { commitOf } from "../process/commit.ts";
import type { OperationContext } from "../run/context.ts";
import { defineOperation, type Report } from "../run/operation.ts";
import { LoadSamples } from "./load-samples.ts";
import { renderResult } from "./render.ts";
import {
  loadInput,
  loadPlan,
  type RequestedLoad,
  requestedLoad,
  scenarioDigest,
  settingsOf,
} from "./request.ts";
import { answerThresholds, verdictOf } from "./verdict.ts";

export const loadOutput = z.object({
  load: z.string(),
  id: z.string(),
  verdict: loadResultSchema.shape.verdict,
  thresholds: z.array(thresholdAnswerSchema),
  target: z.string(),
  users: z.number(),
  ...loadFiguresSchema.omit({ intervals: true }).shape,
  file: z.string().describe("The whole result, interval by interval"),
});

/** What a run keeps of it: a result that was stored is not measured again by a resumed run. */
const checkpoint = z.object({ result: z.string().optional() });

/**
 * Makes a load and keeps what it met. It takes the place of nothing and leaves nothing behind at the target but what its
 * requests do there.
 */
export const run = defineOperation({
  name: "load.run",
  summary: "Make load on a service of this environment and hold it to thresholds",
  example:
    "load run --url http://127.0.0.1:3000 --users 100 --duration 300 --ramp-up 60 --threshold 'p95<200ms'",
  effect: "change",
  input: loadInput,
  positional: ["load"],
  output: loadOutput,
  targets: (input, environment) => {
    const { target } = settingsOf(environment, input);
    // Two loads at once would measure each other.
    return [`load:${URL.canParse(target) ? new URL(target).host : target}`];
  },
  async observe(context, input) {
    const load = await requestedLoad(context.environment, input);
    // A secret that cannot be had is known before the first request, too.
    await loadPlan(load, context.environment.directory);
    const { name, target, settings } = load;
    const { users, duration, engine } = settings;
    return {
      load: name,
      host: target.host,
      summary: `let ${users} ${users === 1 ? "user" : "users"} send requests to ${showUrl(target.href)} for ${formatDuration(duration)} (${engine})`,
    };
  },
  plan: ({ host, summary }) => [{ target: `load:${host}`, action: "run", summary }],
  async apply(context, input, _before, report) {
    const results = new LoadResults(context.stateDirectory, context.environment.name);
    // Once more: a resumed run may find another list.
    const load = await requestedLoad(context.environment, input);
    const stored = checkpoint.safeParse(report.last).data?.result;
    if (stored !== undefined) return outputOf(await results.read(load.name, stored), results);
    const result = await measured(context, load, input.version, report, results);
    if (result.interrupted || (result.verdict !== "pass" && result.verdict !== "none")) {
      // An error follows, in the place of the result.
      for (const line of renderResult(result).split("\n")) report.log(line);
    }
    if (result.interrupted) context.safePoint();
    return outputOf(result, results);
  },
  undo: async () => ({ undone: "kept", note: "the load is over; what its requests did at the target stays" }),
  failure: ({ verdict, thresholds, ...rest }) => {
    if (verdict === "pass" || verdict === "none") return undefined;
    const missed = thresholds.filter(({ status }) => status !== "pass");
    const named = missed.map(
      ({ threshold, status, reason }) =>
        `${threshold} ${status === "fail" ? "is missed" : "is not known to hold"} (${reason})`,
    );
    return new OpsError(
      "E_LOAD_THRESHOLD",
      `The load ${rest.load} does not keep its thresholds: ${named.join("; ")}`,
      {
        exitCode: ExitCode.noGo,
        retryable: false,
        hint: `see all of it with: ops load show ${rest.load}`,
        details: { verdict, thresholds, ...rest },
      },
    );
  },
  render: ({ file, ...output }) => `${renderResult(output)}\nkept as ${file}`,
});

function outputOf(result: LoadResult, results: LoadResults): z.output<typeof loadOutput> {
  const { load, id, verdict, thresholds, target, users } = result;
  const { intervals: _, ...figures } = result.figures;
  return { load, id, verdict, thresholds, target, users, ...figures, file: results.fileOf(load, id) };
}

/** Milliseconds between two checkpoints with the charts of the report. */
const keepEvery = 10_000;

async function measured(
  context: OperationContext,
  load: RequestedLoad,
  version: string | undefined,
  report: Report,
  results: LoadResults,
): Promise<LoadResult> {
  const { name, target, settings, thresholds } = load;
  const { clock, environment, signal, stop } = context;
  const plan = await loadPlan(load, environment.directory);
  const commit = await commitOf(environment.directory, signal);
  const startedAt = clock.now();
  const samples = new LoadSamples(name, plan, thresholds, startedAt);
  let keptAt = clock.elapsed();
  let keeping = Promise.resolve();
  const figures = await makeLoad(plan, {
    stop,
    signal,
    onInterval: (interval) => {
      const sample = samples.add(interval);
      report.progress({
        message: samples.line(interval),
        done: Math.min(interval.at + plan.intervalMs, plan.durationMs),
        total: plan.durationMs,
        unit: "ms",
        sample,
      });
      if (clock.elapsed() - keptAt < keepEvery) return;
      keptAt = clock.elapsed();
      const taken = samples.take();
      keeping = keeping.then(() => report.checkpoint({ samples: taken }));
      // Thrown below, where it is awaited.
      keeping.catch(() => undefined);
    },
  });
  await keeping;
  const interrupted = stop.aborted && figures.elapsedMs < plan.durationMs;
  const answers = answerThresholds(figures, thresholds, interrupted);
  const result: LoadResult = {
    format: "ops-load/1",
    id: results.newId(startedAt),
    load: name,
    environment: environment.name,
    target: showUrl(target.href),
    engine: settings.engine,
    users: plan.users,
    durationMs: plan.durationMs,
    rampUpMs: plan.rampUpMs,
    intervalMs: plan.intervalMs,
    scenario: scenarioDigest(settings),
    startedAt: startedAt.toISOString(),
    endedAt: clock.now().toISOString(),
    actor: context.actor,
    run: context.runId ?? null,
    version: version ?? null,
    commit: commit ?? null,
    machine: thisMachine(),
    interrupted,
    verdict: verdictOf(answers),
    thresholds: answers,
    figures,
  };
  await results.add(result);
  // A missed threshold is measured again by a retry; one that was kept is not.
  const isOver = !interrupted && (result.verdict === "pass" || result.verdict === "none");
  await report.checkpoint({ samples: samples.take(), ...(isOver && { result: result.id }) });
  return result;
}
