import { type Metric, metricsText } from "../metrics/text.ts";
import type { BackupStatus } from "./status.ts";

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
      help: "1 where the newest whole backup is overdue or there is none where there must be one, else 0.",
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
      help: "Warnings: much smaller, much slower, broken, ahead of the clock, failed drill, none here.",
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
  return metricsText(metrics);
}
