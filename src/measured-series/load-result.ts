import { randomBytes } from "node:crypto";
import { mkdir, readdir, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { OpsError } from "../core/errors.ts";
import { loadFiguresSchema } from "../load-engine/plan.ts";
import { replaceFile } from "../process/replace-file.ts";
import { machineSchema } from "./machine.ts";
import type { Series } from "./series.ts";

export const thresholdAnswerSchema = z.object({
  threshold: z.string(),
  status: z.enum(["pass", "fail", "unknown"]),
  /** Percent, milliseconds or a second; null where nothing was measured. */
  measured: z.number().nullable(),
  reason: z.string(),
});
export type ThresholdAnswer = z.output<typeof thresholdAnswerSchema>;

/** A load that was made, as it is kept. */
export const loadResultSchema = z.object({
  format: z.literal("ops-load/1"),
  id: z.string(),
  load: z.string(),
  environment: z.string(),
  /** Without credentials and query. */
  target: z.string(),
  engine: z.enum(["autocannon", "k6"]),
  users: z.number(),
  durationMs: z.number(),
  rampUpMs: z.number(),
  intervalMs: z.number(),
  /** A digest of what each user does; of a result that was kept without it there is nothing to compare. */
  scenario: z.string().default("not known"),
  startedAt: z.iso.datetime(),
  endedAt: z.iso.datetime(),
  actor: z.string(),
  run: z.string().nullable(),
  version: z.string().nullable(),
  commit: z.string().nullable(),
  machine: machineSchema,
  /** True where somebody ended it early: its figures are good, and say nothing about its thresholds. */
  interrupted: z.boolean(),
  verdict: z.enum(["pass", "fail", "unknown", "none"]).describe("none: it had no thresholds"),
  thresholds: z.array(thresholdAnswerSchema),
  figures: loadFiguresSchema,
});
export type LoadResult = z.output<typeof loadResultSchema>;

/** Of one load in one environment; older ones are removed. */
const keptResults = 50;

/**
 * What the loads of an environment came to, beside the journal: a file each, there whole and durable or not at all.
 */
export class LoadResults {
  private readonly folder: string;

  constructor(stateDirectory: string, environment: string) {
    this.folder = join(stateDirectory, "loads", environment);
  }

  newId(now: Date): string {
    return `${now.toISOString().replaceAll(/[-:.]/g, "")}-${randomBytes(3).toString("hex")}`;
  }

  fileOf(load: string, id: string): string {
    return join(this.folder, load, `${id}.json`);
  }

  async add(result: LoadResult): Promise<string> {
    const folder = join(this.folder, result.load);
    await mkdir(folder, { recursive: true, mode: 0o700 });
    const file = this.fileOf(result.load, result.id);
    await replaceFile(file, `${JSON.stringify(result)}\n`);
    for (const old of (await this.ids(result.load)).slice(keptResults)) {
      await rm(this.fileOf(result.load, old), { force: true });
    }
    return file;
  }

  /** The newest result of a load; undefined where there is none. Throws `E_LOAD_RESULT` where it cannot be read. */
  async newest(load: string): Promise<LoadResult | undefined> {
    const [id] = await this.ids(load);
    return id === undefined ? undefined : this.read(load, id);
  }

  async read(load: string, id: string): Promise<LoadResult> {
    const file = this.fileOf(load, id);
    try {
      return loadResultSchema.parse(JSON.parse(await readFile(file, "utf8")));
    } catch (cause) {
      throw new OpsError("E_LOAD_RESULT", `The result of the load ${load} cannot be read: ${file}`, {
        cause: cause instanceof z.ZodError ? z.prettifyError(cause) : cause,
        hint: "remove the file, or make the load again",
        retryable: false,
      });
    }
  }

  /** Newest first. */
  async ids(load: string): Promise<string[]> {
    return (await names(join(this.folder, load)))
      .filter((each) => each.endsWith(".json"))
      .map((each) => each.slice(0, -".json".length))
      .sort()
      .reverse();
  }
}

async function names(folder: string): Promise<string[]> {
  try {
    return await readdir(folder);
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return [];
    throw error;
  }
}

/** Interval by interval, the ramp-up left out: what a baseline is made of. */
export function seriesOfLoad({ figures, rampUpMs, intervalMs }: LoadResult): Series {
  const steady = figures.intervals.filter(({ at }) => at >= rampUpMs);
  const times = (key: "p50" | "p95" | "p99" | "mean") => ({
    kind: "samples" as const,
    unit: "ms" as const,
    values: steady.flatMap((each) => each[key] ?? []),
  });
  return {
    p50: times("p50"),
    p95: times("p95"),
    p99: times("p99"),
    mean: times("mean"),
    throughput: {
      kind: "samples",
      unit: "per-second",
      values: steady.map(({ requests, bad }) => ((requests - bad) * 1000) / intervalMs),
    },
    "error-rate": { kind: "counts", intervals: steady.map(({ requests, bad }) => ({ requests, bad })) },
  };
}
