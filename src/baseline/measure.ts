import type { MeasureSource } from "../config/baseline-schema.ts";
import { endpoint } from "../config/metrics-target.ts";
import { parseDuration } from "../core/duration.ts";
import { OpsError } from "../core/errors.ts";
import { redact } from "../core/redaction.ts";
import { fetchJson } from "../json-http/document.ts";
import { numberAt } from "../json-http/path.ts";
import type { Series, Unit } from "../measured-series/series.ts";
import { readOnlyRows } from "../postgres/read-only-query.ts";
import { queryValue } from "../prometheus/client.ts";
import type { OperationContext } from "../run/context.ts";
import { runDeclared } from "../run/declared-program.ts";
import { pause } from "../run/pause.ts";
import type { Sample } from "../run/sample.ts";

export interface Measuring {
  readonly sources: Readonly<Record<string, MeasureSource>>;
  /** Values of each. */
  readonly samples: number;
  /** Milliseconds between two values; commands run one after the other. */
  readonly interval: number;
  readonly progress: (done: number, total: number, sample: Sample) => void;
}

/**
 * Takes so many values of each measure: first of the places, all of them at each moment, then of the commands, which
 * would disturb the others. Throws `E_MEASURE` with the name of a measure that gives no number.
 */
export async function takeSeries(context: OperationContext, measuring: Measuring): Promise<Series> {
  const { samples, interval, progress } = measuring;
  const all = Object.entries(measuring.sources);
  const places = all.filter(([, { source }]) => source !== "command");
  const commands = all.filter(([, { source }]) => source === "command");
  const values = new Map<string, number[]>(all.map(([name]) => [name, []]));
  const total = samples * (Math.min(1, places.length) + commands.length);
  let done = 0;
  const look = async (some: typeof all) => {
    const found = await Promise.all(
      some.map(async ([name, source]) => [name, source, await takeValue(context, name, source)] as const),
    );
    for (const [name, , value] of found) values.get(name)?.push(value);
    done += 1;
    progress(done, total, {
      at: context.clock.now().toISOString(),
      measures: found.map(([name, source, value]) => ({ name: unitOf(source), lines: { [name]: value } })),
    });
  };
  const began = context.clock.elapsed();
  for (let index = 0; places.length > 0 && index < samples; index += 1) {
    await pause(context, Math.max(0, began + index * interval - context.clock.elapsed()));
    await look(places);
  }
  for (const command of commands) {
    for (let index = 0; index < samples; index += 1) {
      await pause(context, 0);
      await look([command]);
    }
  }
  return Object.fromEntries(
    all.map(([name, source]) => [
      name,
      { kind: "samples" as const, unit: unitOf(source), values: values.get(name) ?? [] },
    ]),
  );
}

function unitOf(source: MeasureSource): Unit {
  if (source.source === "command" && source.measure === "time") return "ms";
  return source.unit === "s" ? "ms" : source.unit;
}

async function takeValue(context: OperationContext, name: string, source: MeasureSource): Promise<number> {
  try {
    const value = await rawValue(context, source);
    return source.unit === "s" && !isTime(source) ? value * 1000 : value;
  } catch (error) {
    context.signal.throwIfAborted();
    context.safePoint();
    throw new OpsError("E_MEASURE", `The measure ${name} could not be taken`, {
      cause: error,
      hint: `look at "measures: ${name}:" of the baseline in .opsrc, and at what it asks`,
    });
  }
}

function isTime(source: MeasureSource): boolean {
  return source.source === "command" && source.measure === "time";
}

async function rawValue(context: OperationContext, source: MeasureSource): Promise<number> {
  const { environment, signal } = context;
  switch (source.source) {
    case "prometheus": {
      const found = await queryValue(endpoint(source, environment.directory), source.query, { signal });
      if (found.kind === "error") throw found.error;
      if (found.kind === "value") return found.value;
      const what = found.kind === "empty" ? "nothing" : found.text;
      throw new OpsError("E_MEASURE", `the expression gives ${what}`, { retryable: false });
    }
    case "json": {
      const asked = endpoint(source, environment.directory);
      return numberAt(await fetchJson({ ...asked, url: await asked.url.reveal(), signal }), source.path);
    }
    case "sql": {
      const { rows } = await readOnlyRows(environment.database(source.database), {
        text: source.query,
        timeout: parseDuration(source.timeout),
        applicationName: "ops baseline",
        signal,
      });
      return number(rows[0]?.[0], "the first column of the first row");
    }
    case "command":
      return runCommand(context, source);
  }
}

async function runCommand(
  context: OperationContext,
  { command, cwd, timeout, measure }: Extract<MeasureSource, { source: "command" }>,
): Promise<number> {
  const declared = { command, cwd, timeout: parseDuration(timeout) };
  const began = context.clock.elapsed();
  const { exitCode, stdout, stderr } = await runDeclared(context, declared);
  const took = context.clock.elapsed() - began;
  if (exitCode !== 0) {
    const said = redact((stderr || stdout).trim().split("\n").at(-1) ?? "");
    throw new OpsError(
      "E_MEASURE",
      `${command[0]} ended with exit code ${exitCode}${said === "" ? "" : `: ${said}`}`,
    );
  }
  return measure === "time" ? took : number(stdout.trim().split("\n").at(-1), "the last line of its output");
}

function number(value: unknown, where: string): number {
  const found = typeof value === "string" && value.trim() !== "" ? Number(value) : value;
  if (typeof found === "number" && Number.isFinite(found)) return found;
  throw new OpsError("E_MEASURE", `${where} is no number`, { retryable: false });
}
