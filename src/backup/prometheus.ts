import { randomBytes } from "node:crypto";
import { open, rename, rm } from "node:fs/promises";
import { dirname } from "node:path";
import { OpsError } from "../core/errors.ts";
import type { BackupStatus } from "./status.ts";

interface Metric {
  readonly name: string;
  readonly help: string;
  readonly samples: readonly { readonly labels: Readonly<Record<string, string>>; readonly value: number }[];
}

/** The text format 0.0.4 that node_exporter's textfile collector reads. Times and durations in seconds, sizes in bytes. */
export function prometheusText({ environment, stores, databases }: BackupStatus, now: Date): string {
  const each = (value: (standing: BackupStatus["databases"][number]) => number | undefined) =>
    databases.flatMap((standing) => {
      const found = value(standing);
      const labels = { environment, database: standing.database, store: standing.store };
      return found === undefined ? [] : [{ labels, value: found }];
    });
  const metrics: Metric[] = [
    {
      name: "ops_backup_last_success_timestamp_seconds",
      help: "When the newest whole backup began: the moment its data is from.",
      samples: each(({ newest }) => (newest === null ? undefined : Date.parse(newest.startedAt) / 1000)),
    },
    {
      name: "ops_backup_age_seconds",
      help: "Age of the newest whole backup when this file was written.",
      samples: each(({ ageMs }) => (ageMs === null ? undefined : ageMs / 1000)),
    },
    {
      name: "ops_backup_max_age_seconds",
      help: "Age at which the newest whole backup is overdue.",
      samples: each(({ maxAgeMs }) => maxAgeMs / 1000),
    },
    {
      name: "ops_backup_overdue",
      help: "1 where the newest whole backup is overdue or there is none, else 0.",
      samples: each(({ overdue }) => Number(overdue)),
    },
    {
      name: "ops_backup_size_bytes",
      help: "Stored size of the newest whole backup.",
      samples: each(({ newest }) => newest?.bytes),
    },
    {
      name: "ops_backup_duration_seconds",
      help: "How long the newest whole backup took.",
      samples: each(({ newest }) => (newest === null ? undefined : newest.durationMs / 1000)),
    },
    {
      name: "ops_backup_backups",
      help: "Whole backups in the store.",
      samples: each(({ count }) => count),
    },
    {
      name: "ops_backup_broken_backups",
      help: "Broken backups in the store.",
      samples: each(({ broken }) => broken),
    },
    {
      name: "ops_backup_stored_bytes",
      help: "Stored size of all whole backups in the store.",
      samples: each(({ bytes }) => bytes),
    },
    {
      name: "ops_backup_warnings",
      help: "Warnings: much smaller, much slower, broken, ahead of the clock, failed drill.",
      samples: each(({ warnings }) => warnings.length),
    },
    {
      name: "ops_backup_store_up",
      help: "1 where the store could be read, else 0.",
      samples: stores.map(({ store, error }) => ({
        labels: { environment, store },
        value: Number(error === null),
      })),
    },
    {
      name: "ops_backup_status_timestamp_seconds",
      help: "When this file was written.",
      samples: [{ labels: { environment }, value: now.getTime() / 1000 }],
    },
  ];
  return metrics
    .filter(({ samples }) => samples.length > 0)
    .map(metricText)
    .join("");
}

function metricText({ name, help, samples }: Metric): string {
  const lines = samples.map(({ labels, value }) => {
    const shown = Object.entries(labels).map(([key, text]) => `${key}="${escaped(text)}"`);
    return `${name}{${shown.join(",")}} ${value}\n`;
  });
  return `# HELP ${name} ${help}\n# TYPE ${name} gauge\n${lines.join("")}`;
}

function escaped(text: string): string {
  return text.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n");
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
