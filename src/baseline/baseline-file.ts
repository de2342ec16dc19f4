import { mkdir, readdir, readFile } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { z } from "zod";
import type { Environment } from "../config/environment.ts";
import { OpsError, UsageError } from "../core/errors.ts";
import { machineSchema } from "../measured-series/machine.ts";
import { seriesSchema } from "../measured-series/series.ts";
import { replaceFile } from "../process/replace-file.ts";

/** What something was like when somebody said that it was well: a file that git can keep. */
export const baselineFileSchema = z.object({
  format: z.literal("ops-baseline/1"),
  name: z.string(),
  environment: z.string(),
  recordedAt: z.iso.datetime(),
  recordedBy: z.string(),
  version: z.string().nullable(),
  commit: z.string().nullable(),
  machine: machineSchema,
  /** `load:checkout`, or the names of its measures. */
  from: z.string(),
  /** How it was measured; another way gives other figures. */
  setup: z.record(z.string(), z.union([z.string(), z.number()])),
  /** Of each measure a digest of what is asked there: another query, address or command is another measure. */
  sources: z.record(z.string(), z.string()).default({}),
  measures: seriesSchema,
});
export type BaselineFile = z.output<typeof baselineFileSchema>;

const folder = "baselines";

/** Where the baseline is kept: as the configuration says, or `baselines/NAME.json` beside it. */
export function fileOf(environment: Environment, name: string): string {
  const own = environment.names("baselines").includes(name) ? environment.baseline(name).file : undefined;
  return resolve(environment.directory, own ?? join(folder, `${name}.json`));
}

/** The names of all that are configured or were recorded. */
export async function baselineNames(environment: Environment): Promise<string[]> {
  const found = await readdir(resolve(environment.directory, folder)).catch(
    (error: NodeJS.ErrnoException) => {
      if (error.code === "ENOENT") return [];
      throw error;
    },
  );
  const recorded = found.filter((each) => each.endsWith(".json")).map((each) => basename(each, ".json"));
  return [...new Set([...environment.names("baselines"), ...recorded])].sort();
}

/** Undefined where it was never recorded. Throws `E_BASELINE` where it cannot be read. */
export async function readBaseline(file: string): Promise<BaselineFile | undefined> {
  let text: string;
  try {
    text = await readFile(file, "utf8");
  } catch (cause) {
    if (cause instanceof Error && "code" in cause && cause.code === "ENOENT") return undefined;
    throw new OpsError("E_BASELINE", `The baseline ${file} cannot be read`, { cause, retryable: false });
  }
  try {
    return baselineFileSchema.parse(JSON.parse(text));
  } catch (error) {
    throw new UsageError("E_BASELINE", `${file} is no baseline that this version of ops can read`, {
      cause: error instanceof z.ZodError ? z.prettifyError(error) : error,
      hint: "take it back from git, or record it anew with --replace",
    });
  }
}

/** Throws `E_BASELINE` where it was never recorded. */
export async function requireBaseline(environment: Environment, name: string): Promise<BaselineFile> {
  const file = fileOf(environment, name);
  const found = await readBaseline(file);
  if (found !== undefined) return found;
  throw new UsageError("E_BASELINE", `The baseline ${name} was never recorded: there is no ${file}`, {
    hint: `record it while all is well: ops baseline record ${name}`,
  });
}

/** The old file or the new one, whole and durable; a line for each measure, so that git shows which one is new. */
export async function writeBaseline(file: string, baseline: BaselineFile): Promise<void> {
  const { measures, ...head } = baseline;
  const lines = Object.entries(measures).map(
    ([name, measure]) => `    ${JSON.stringify(name)}: ${JSON.stringify(measure)}`,
  );
  const text = JSON.stringify(head, null, 2).replace(/\n\}$/, "");
  await mkdir(dirname(file), { recursive: true });
  await replaceFile(file, `${text},\n  "measures": {\n${lines.join(",\n")}\n  }\n}\n`);
}
