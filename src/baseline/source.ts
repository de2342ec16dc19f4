import type { MeasureSource } from "../config/baseline-schema.ts";
import type { Environment } from "../config/environment.ts";
import { isReference } from "../config/secret.ts";
import { canonicalJson, digest } from "../core/digest.ts";
import { type Json, OpsError, UsageError } from "../core/errors.ts";
import { suggestion } from "../core/suggestion.ts";
import { fewestSamples } from "../measured-series/compare.ts";
import { type LoadResult, LoadResults, seriesOfLoad } from "../measured-series/load-result.ts";
import { type Machine, thisMachine } from "../measured-series/machine.ts";
import { type Series, samplesOf } from "../measured-series/series.ts";
import { commitOf } from "../process/commit.ts";
import type { OperationContext } from "../run/context.ts";
import type { Sample } from "../run/sample.ts";
import { takeSeries } from "./measure.ts";

/** Where a series comes from: the newest result of a load, or the measures that a baseline has in .opsrc. */
export type From =
  | { readonly kind: "load"; readonly load: string }
  | { readonly kind: "measures"; readonly baseline: string };

/** What was measured, and how. */
export interface Measured {
  readonly series: Series;
  readonly from: string;
  readonly setup: Readonly<Record<string, string | number>>;
  /** Of each measure a digest of what was asked; none of a load. */
  readonly sources: Readonly<Record<string, string>>;
  readonly machine: Machine;
  readonly version: string | null;
  readonly commit: string | null;
  /** When a load ended; undefined for measures, which are taken now. ISO 8601, UTC. */
  readonly madeAt?: string;
}

/** @param given `load:NAME`, or the name of a baseline with measures; undefined: as the baseline has it. Throws `E_BASELINE`. */
export function fromOf(environment: Environment, name: string, given: string | undefined): From {
  const configured = environment.names("baselines");
  const load = given === undefined ? undefined : /^load:(.+)$/.exec(given)?.[1];
  if (load !== undefined) return { kind: "load", load };
  const meant = given ?? name;
  if (!configured.includes(meant)) {
    const what =
      given === undefined
        ? `The baseline ${name} is not in .opsrc`
        : `There is nothing called "${given}" to measure`;
    throw new UsageError("E_BASELINE", what, {
      hint: `say what it is from: --from load:NAME, or add it under baselines: in .opsrc${configured.length === 0 ? "" : ` (${suggestion(meant, configured)})`}`,
    });
  }
  const own = environment.baseline(meant).load;
  return own === undefined ? { kind: "measures", baseline: meant } : { kind: "load", load: own };
}

export function shownFrom(from: From): string {
  return from.kind === "load" ? `load:${from.load}` : from.baseline;
}

/** Throws `E_BASELINE` where a load gives no series, `E_MEASURE` where a measure does not. */
export async function measure(
  context: OperationContext,
  from: From,
  version: string | undefined,
  progress: (done: number, total: number, sample: Sample) => void = () => {},
): Promise<Measured> {
  if (from.kind === "load") return ofLoad(await newestOf(context, from.load));
  const { measures, samples, interval } = context.environment.baseline(from.baseline);
  const series = await takeSeries(context, { sources: measures, samples, interval, progress });
  const places = Object.values(measures).some(({ source }) => source !== "command");
  return {
    series,
    from: shownFrom(from),
    setup: places ? { intervalMs: interval } : {},
    sources: Object.fromEntries(Object.entries(measures).map(([name, each]) => [name, sourceDigest(each)])),
    machine: thisMachine(),
    version: version ?? null,
    commit: (await commitOf(context.environment.directory, context.signal)) ?? null,
  };
}

/** What is asked, and where; how one is let in there is left out, for it may be secret, and the answer is the same. */
function sourceDigest(source: MeasureSource): string {
  const { source: kind, unit } = source;
  const place = (url: string) => {
    if (isReference(url)) return url;
    const parsed = new URL(url);
    return parsed.origin + parsed.pathname + parsed.search;
  };
  const asked = (): Json => {
    switch (source.source) {
      case "prometheus":
        return { url: place(source.url), query: source.query };
      case "json":
        return { url: place(source.url), path: source.path };
      case "sql":
        return { database: source.database ?? null, query: source.query };
      case "command":
        return { command: source.command, cwd: source.cwd ?? null, measure: source.measure };
    }
  };
  return digest(canonicalJson({ kind, unit, asked: asked() }));
}

async function newestOf(
  { stateDirectory, environment }: OperationContext,
  load: string,
): Promise<LoadResult> {
  const found = await new LoadResults(stateDirectory, environment.name).newest(load);
  const make = { hint: `make it: ops load run ${load}`, retryable: false };
  if (found === undefined) throw new OpsError("E_BASELINE", `The load ${load} was never made`, make);
  if (found.interrupted) throw new OpsError("E_BASELINE", `The newest load ${load} was ended early`, make);
  return found;
}

function ofLoad(found: LoadResult): Measured {
  const { load, target, engine, users, rampUpMs, intervalMs, scenario, machine, version, commit, endedAt } =
    found;
  return {
    series: seriesOfLoad(found),
    from: `load:${load}`,
    setup: { target, engine, users, rampUpMs, intervalMs, scenario },
    sources: {},
    machine,
    version,
    commit,
    madeAt: endedAt,
  };
}

/** A baseline of too few values is none. Throws `E_BASELINE` naming what there is too little of. */
export function requireEnough(series: Series): void {
  const few = Object.entries(series).filter(([, each]) => samplesOf(each) < fewestSamples);
  if (few.length === 0) return;
  const named = few.map(([name, each]) => `${name} has ${samplesOf(each)} values`).join(", ");
  throw new OpsError(
    "E_BASELINE",
    `Not enough data for a baseline: ${named}, ${fewestSamples} at least are needed`,
    {
      hint: "measure longer, or in shorter intervals",
      retryable: false,
    },
  );
}

/** Why the figures of now and then are hardly of the same thing; undefined where nothing speaks against it. */
export function setupDifference(
  before: Readonly<Record<string, string | number>>,
  now: Readonly<Record<string, string | number>>,
): string | undefined {
  const different = Object.keys({ ...before, ...now }).filter((key) => before[key] !== now[key]);
  if (different.length === 0) return undefined;
  return different
    .map((key) =>
      key === "scenario" && before[key] !== undefined
        ? "the scenario is another one"
        : `${key} was ${before[key] ?? "not known"}, is ${now[key] ?? "not known"}`,
    )
    .join("; ");
}
