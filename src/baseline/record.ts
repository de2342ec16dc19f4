import { readFile, rm } from "node:fs/promises";
import { z } from "zod";
import { digest } from "../core/digest.ts";
import { UsageError } from "../core/errors.ts";
import { name } from "../core/schema.ts";
import { samplesOf } from "../measured-series/series.ts";
import { defineOperation } from "../run/operation.ts";
import { fileOf, readBaseline, writeBaseline } from "./baseline-file.ts";
import { fromOf, measure, requireEnough, shownFrom } from "./source.ts";

export const record = defineOperation({
  name: "baseline.record",
  summary: "Record how something is while all is well, to compare with later",
  example: "baseline record checkout --from load:checkout",
  effect: "change",
  input: z.strictObject({
    baseline: name("The baseline's name"),
    from: z
      .string()
      .min(1)
      .optional()
      .describe(
        "load:NAME (its newest result), or a baseline of .opsrc whose measures are taken; default: its own",
      ),
    replace: z.boolean().default(false).describe("Replace what was recorded before"),
    version: z.string().min(1).optional().describe("The version that is measured; of a load its own"),
  }),
  positional: ["baseline"],
  output: z.object({
    baseline: z.string(),
    file: z.string(),
    from: z.string(),
    measures: z.record(z.string(), z.number()).describe("Measure: how many values"),
    digest: z.string(),
  }),
  targets: ({ baseline }) => [`baseline:${baseline}`],
  async observe(context, input) {
    const { environment } = context;
    const file = fileOf(environment, input.baseline);
    const from = fromOf(environment, input.baseline, input.from);
    // What cannot be read may be replaced, too.
    const found = input.replace ? undefined : await readBaseline(file);
    if (found !== undefined) {
      throw new UsageError(
        "E_BASELINE_EXISTS",
        `The baseline ${input.baseline} was recorded ${found.recordedAt} by ${found.recordedBy}`,
        {
          hint: "add --replace if what is measured now is to be what later changes are held against",
        },
      );
    }
    // What a load has measured is there already; it may be too little.
    if (from.kind === "load") requireEnough((await measure(context, from, input.version)).series);
    return { file, from: shownFrom(from), existed: (await textOf(file)) !== undefined };
  },
  plan: ({ from, existed }, { baseline }) => [
    {
      target: `baseline:${baseline}`,
      action: existed ? "update" : "create",
      summary: `record the baseline ${baseline} from ${from}`,
    },
  ],
  async apply(context, input, { file }, report) {
    const { environment, clock, actor } = context;
    const from = fromOf(environment, input.baseline, input.from);
    const found = await measure(context, from, input.version, (done, total, sample) =>
      report.progress({ message: `measuring ${input.baseline}`, done, total, sample }),
    );
    requireEnough(found.series);
    await writeBaseline(file, {
      format: "ops-baseline/1",
      name: input.baseline,
      environment: environment.name,
      recordedAt: clock.now().toISOString(),
      recordedBy: actor,
      version: input.version ?? found.version,
      commit: found.commit,
      machine: found.machine,
      from: found.from,
      setup: found.setup,
      sources: found.sources,
      measures: rounded(found.series),
    });
    const written = digest((await textOf(file)) ?? "");
    await report.checkpoint({ written });
    return {
      baseline: input.baseline,
      file,
      from: found.from,
      measures: Object.fromEntries(Object.entries(found.series).map(([key, each]) => [key, samplesOf(each)])),
      digest: written,
    };
  },
  async undo(_context, { baseline }, { file, existed }, report) {
    const text = await textOf(file);
    if (text === undefined) return { undone: true };
    const ours = (report.last as { written?: string } | undefined)?.written === digest(text);
    if (!ours) return { undone: "kept", note: `${file} is not what this run has written` };
    if (existed) return { undone: false, note: `the baseline of before is gone: git checkout -- ${file}` };
    await rm(file, { force: true });
    return { undone: true, note: `removed the baseline ${baseline}` };
  },
  render: ({ baseline, file, from, measures }) =>
    [
      `recorded the baseline ${baseline} from ${from}:`,
      ...Object.entries(measures).map(([key, count]) => `  ${key}  ${count} values`),
      `kept as ${file}; commit it`,
    ].join("\n"),
});

async function textOf(file: string): Promise<string | undefined> {
  try {
    return await readFile(file, "utf8");
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return undefined;
    throw error;
  }
}

type Measures = Parameters<typeof writeBaseline>[1]["measures"];

/** Six digits: the rest is noise, and git keeps every one of them. */
function rounded(series: Measures): Measures {
  return Object.fromEntries(
    Object.entries(series).map(([key, each]) => [
      key,
      each.kind === "counts"
        ? each
        : { ...each, values: each.values.map((value) => Number(value.toPrecision(6))) },
    ]),
  );
}
