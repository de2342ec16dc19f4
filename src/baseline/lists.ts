import { rm } from "node:fs/promises";
import { z } from "zod";
import { columns } from "../core/columns.ts";
import { name } from "../core/schema.ts";
import { samplesOf, unitSchema } from "../measured-series/series.ts";
import { defineOperation } from "../run/operation.ts";
import {
  type BaselineFile,
  baselineFileSchema,
  baselineNames,
  fileOf,
  readBaseline,
  requireBaseline,
  writeBaseline,
} from "./baseline-file.ts";
import { shownValue } from "./comparison.ts";

const row = z.object({
  baseline: z.string(),
  file: z.string(),
  recordedAt: z.string().nullable(),
  recordedBy: z.string().nullable(),
  version: z.string().nullable(),
  measures: z.array(z.string()),
});

export const list = defineOperation({
  name: "baseline.list",
  summary: "List the baselines, and when they were recorded",
  example: "baseline list",
  effect: "read",
  input: z.strictObject({}),
  output: z.object({ baselines: z.array(row) }),
  observe: async () => null,
  plan: () => [],
  async apply({ environment }) {
    const names = await baselineNames(environment);
    const baselines = await Promise.all(
      names.map(async (each) => {
        const file = fileOf(environment, each);
        const found = await readBaseline(file);
        const { recordedAt = null, recordedBy = null, version = null } = found ?? {};
        return {
          baseline: each,
          file,
          recordedAt,
          recordedBy,
          version,
          measures: Object.keys(found?.measures ?? {}),
        };
      }),
    );
    return { baselines };
  },
  render: ({ baselines }) =>
    baselines.length === 0
      ? "no baselines: record one with ops baseline record NAME --from load:NAME"
      : columns(
          baselines.map(({ baseline, recordedAt, recordedBy, version, measures }) => [
            baseline,
            recordedAt === null
              ? "never recorded"
              : `${recordedAt.slice(0, 16).replace("T", " ")} by ${recordedBy}`,
            version ?? "",
            measures.join(", "),
          ]),
          new Set(),
        ).join("\n"),
});

const measureRow = z.object({
  name: z.string(),
  values: z.number(),
  median: z.number().nullable(),
  unit: unitSchema,
});

export const show = defineOperation({
  name: "baseline.show",
  summary: "Show what a baseline was recorded of, and its medians",
  example: "baseline show checkout",
  effect: "read",
  input: z.strictObject({ baseline: name("The baseline's name") }),
  positional: ["baseline"],
  output: baselineFileSchema
    .omit({ measures: true })
    .extend({ file: z.string(), measures: z.array(measureRow) }),
  observe: async () => null,
  plan: () => [],
  async apply({ environment }, { baseline }) {
    const { measures, ...rest } = await requireBaseline(environment, baseline);
    return {
      ...rest,
      file: fileOf(environment, baseline),
      measures: Object.entries(measures).map(measureOf),
    };
  },
  render: ({ measures, setup, machine, ...rest }) =>
    [
      `baseline ${rest.name}, from ${rest.from}: recorded ${rest.recordedAt} by ${rest.recordedBy} in ${rest.environment}`,
      `version ${rest.version ?? "not named"}, commit ${rest.commit?.slice(0, 12) ?? "not known"}, on ${machine.host} (${machine.cores} × ${machine.cpu})`,
      ...Object.entries(setup).map(([key, value]) => `${key} ${value}`),
      ...columns(
        measures.map((each) => [
          `  ${each.name}`,
          each.median === null ? "-" : shownValue(each.median, each.unit),
          `${each.values} values`,
        ]),
        new Set([1, 2]),
      ),
      `kept as ${rest.file}`,
    ].join("\n"),
});

function measureOf([key, measure]: [string, BaselineFile["measures"][string]]): z.output<typeof measureRow> {
  const values = samplesOf(measure);
  if (measure.kind === "counts") {
    const requests = measure.intervals.reduce((sum, each) => sum + each.requests, 0);
    const bad = measure.intervals.reduce((sum, each) => sum + each.bad, 0);
    return { name: key, values, median: requests === 0 ? null : (100 * bad) / requests, unit: "percent" };
  }
  const sorted = [...measure.values].sort((a, b) => a - b);
  return {
    name: key,
    values,
    median: sorted[Math.floor((sorted.length - 1) / 2)] ?? null,
    unit: measure.unit,
  };
}

export const remove = defineOperation({
  name: "baseline.remove",
  summary: "Remove a baseline; git may still have it",
  example: "baseline remove checkout",
  effect: "change",
  input: z.strictObject({ baseline: name("The baseline's name") }),
  positional: ["baseline"],
  output: z.object({ baseline: z.string(), file: z.string() }),
  targets: ({ baseline }) => [`baseline:${baseline}`],
  async observe({ environment }, { baseline }) {
    return { file: fileOf(environment, baseline), content: await requireBaseline(environment, baseline) };
  },
  plan: ({ content }, { baseline }) => [
    {
      target: `baseline:${baseline}`,
      action: "delete",
      summary: `remove the baseline ${baseline} of ${content.recordedAt}`,
    },
  ],
  async apply(_context, { baseline }, { file }) {
    await rm(file, { force: true });
    return { baseline, file };
  },
  async undo(_context, _input, { file, content }) {
    if ((await readBaseline(file)) !== undefined) return { undone: "kept", note: `${file} is there` };
    await writeBaseline(file, content);
    return { undone: true };
  },
  render: ({ file }) => `removed ${file}`,
});
