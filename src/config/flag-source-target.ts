import { resolve } from "node:path";
import type { z } from "zod";
import type { DatabaseTarget } from "./environment.ts";
import type { MetricsSettings } from "./metrics-schema.ts";
import { type MetricsTarget, metricsTarget } from "./metrics-target.ts";
import type { flagSourceSchema } from "./schema.ts";
import { Secret } from "./secret.ts";

/** Where flags live. */
export type FlagSourceTarget =
  | {
      readonly name: string;
      readonly driver: "postgres";
      readonly database: DatabaseTarget;
      /** What clients of `ops flag serve` must send. */
      readonly token?: Secret | undefined;
    }
  | {
      readonly name: string;
      readonly driver: "file";
      readonly token?: Secret | undefined;
      /** Absolute path. */
      readonly file: string;
      /** Absolute path of the file with the history. */
      readonly history: string;
    };

type FindDatabase = (name: string | undefined) => DatabaseTarget;

/** @param directory of the configuration file: relative paths start there */
export function flagSourceTarget(
  name: string,
  settings: z.output<typeof flagSourceSchema>,
  directory: string,
  database: FindDatabase,
): FlagSourceTarget {
  const token = settings.token === undefined ? undefined : new Secret(settings.token, directory);
  if (settings.file === undefined) {
    return { name, driver: "postgres", database: database(settings.database), token };
  }
  const file = resolve(directory, settings.file);
  const history = resolve(directory, settings.history ?? `${settings.file}.history.jsonl`);
  return { name, driver: "file", file, history, token };
}

interface CountedFlag {
  readonly source: string;
  readonly flag: string;
  readonly variants: readonly string[];
  readonly directory: string;
}

/** What counts the requests of one flag of a source by variant. */
export function flagMetricsTarget(
  metrics: MetricsSettings,
  { source, flag, variants, directory }: CountedFlag,
  database: FindDatabase,
): MetricsTarget {
  return metricsTarget(metrics, {
    kind: "flag",
    name: flag,
    setting: `flag-sources: ${source}:`,
    versions: Object.fromEntries(variants.map((each) => [each, each])),
    backend: undefined,
    directory,
    database,
  });
}
