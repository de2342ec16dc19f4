import { type Metric, metricsText } from "../metrics/text.ts";
import type { WalStatus } from "./status.ts";

/** Where a store cannot be read, by what the server knows. */
function lagSeconds({ lagMs, waitingMs, receiver, lost }: WalStatus): number {
  if (lost.length > 0) return Number.POSITIVE_INFINITY;
  return (lagMs ?? Math.max(waitingMs, receiver?.lagMs ?? 0)) / 1000;
}

/** How the archive of a cluster's log stands. */
export function prometheusText(status: WalStatus, environment: string, now: Date): string {
  const { database, receiver, stores } = status;
  const server = { environment, database };
  const one = (value: number | null): Metric["samples"] =>
    value === null ? [] : [{ labels: server, value }];
  const each = (value: (store: WalStatus["stores"][number]) => number | null): Metric["samples"] =>
    stores.flatMap((store) => {
      const found = value(store);
      return found === null ? [] : [{ labels: { ...server, store: store.store }, value: found }];
    });
  return metricsText([
    {
      name: "ops_wal_lag_bytes",
      help: "Written by the server and not yet in the store.",
      samples: each(({ lagBytes }) => lagBytes),
    },
    {
      name: "ops_wal_lag_seconds",
      help: "How old what would be lost with the server may be; +Inf where a store lacks what nobody will archive.",
      samples: one(lagSeconds(status)),
    },
    {
      name: "ops_wal_waiting_files",
      help: "Finished files that are not archived yet.",
      samples: one(status.waiting),
    },
    {
      name: "ops_wal_failing",
      help: "1 where the server's last attempt to archive failed, else 0.",
      samples: one(Number(status.failing !== null)),
    },
    {
      name: "ops_wal_archiving",
      help: "1 where archive_mode is on with a command, or ops wal receive is connected, else 0.",
      samples: one(Number(status.archives || receiver?.active === true)),
    },
    { name: "ops_wal_directory_bytes", help: "Size of pg_wal.", samples: one(status.walBytes) },
    {
      name: "ops_wal_free_bytes",
      help: "Free on the file system of pg_wal.",
      samples: one(status.freeBytes),
    },
    {
      name: "ops_wal_full_seconds",
      help: "When that file system is full, as fast as WAL has piled up since archiving stopped.",
      samples: one(status.fullInMs === null ? null : status.fullInMs / 1000),
    },
    {
      name: "ops_wal_missing_segments",
      help: "Segments that are missing between others in the store.",
      samples: each(({ error, timelines }) =>
        error === null
          ? timelines.reduce((sum, { gaps }) => sum + gaps.reduce((all, { count }) => all + count, 0), 0)
          : null,
      ),
    },
    {
      name: "ops_wal_store_up",
      help: "1 where the store's archive of this cluster could be read, else 0.",
      samples: each(({ error }) => Number(error === null)),
    },
    {
      name: "ops_wal_status_timestamp_seconds",
      help: "When this file was written.",
      samples: one(now.getTime() / 1000),
    },
  ]);
}
