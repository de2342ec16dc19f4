import { randomBytes } from "node:crypto";
import { open, rename, rm, stat } from "node:fs/promises";
import { dirname } from "node:path";
import { z } from "zod";
import { OpsError, UsageError } from "../core/errors.ts";

/** The input of what writes metrics. */
export const prometheusFile = z
  .string()
  .min(1)
  .optional()
  .describe("Also write the metrics to this file, for the textfile collector of node_exporter");

/** Before anything is looked at. Throws `E_METRICS_FILE`. */
export async function refuseMissingFolder(file: string): Promise<void> {
  const folder = dirname(file);
  const found = await stat(folder).catch((error: NodeJS.ErrnoException) => error);
  if (!(found instanceof Error) && found.isDirectory()) return;
  throw new UsageError("E_METRICS_FILE", `--prometheus: ${folder} is not a folder that can be reached`, {
    cause: found instanceof Error ? found : undefined,
    hint: "name a file in the folder of node_exporter's --collector.textfile.directory",
  });
}

/** A reader sees the old file or the new one, whole: the collector may come at any moment. Readable for everybody. */
export async function writeMetrics(file: string, text: string): Promise<void> {
  const partial = `${file}.${randomBytes(4).toString("hex")}.partial`;
  try {
    try {
      const handle = await open(partial, "wx", 0o644);
      try {
        await handle.writeFile(text);
        await handle.sync();
      } finally {
        await handle.close();
      }
      await rename(partial, file);
    } finally {
      await rm(partial, { force: true });
    }
  } catch (error) {
    throw new OpsError("E_METRICS_FILE", `The metrics cannot be written to ${file}`, {
      cause: error,
      hint: `see that this user may write to ${dirname(file)}`,
    });
  }
}
