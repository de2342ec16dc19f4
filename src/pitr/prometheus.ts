import { metricsText } from "../metrics/text.ts";
import { openWindow, type WindowReport } from "./window.ts";
import type { WindowEnd } from "./window-end.ts";

/**
 * What moments a cluster can be restored to.
 *
 * @param newest the newest timeline in the archive: a window of another one does not reach the end
 */
export function prometheusText(report: WindowReport, newest: number, environment: string, now: Date): string {
  const { database, store, windows, useless, end } = report;
  const labels = { environment, database, store };
  const one = (value: number | undefined) => (value === undefined ? [] : [{ labels, value }]);
  const open = openWindow(windows, newest);
  const begin = open === undefined ? undefined : Date.parse(open.from);
  const until = end === null || end.behindMs === null ? undefined : now.getTime() - end.behindMs;
  return metricsText([
    {
      name: "ops_pitr_window_begin_timestamp_seconds",
      help: "The earliest moment from which every later one can be restored, up to the end of the archive.",
      samples: one(begin === undefined ? undefined : begin / 1000),
    },
    {
      name: "ops_pitr_window_seconds",
      help: "Length of the window; 0 where nothing can be restored without a gap, or the archive has ended.",
      samples: one(windowSeconds(begin, until, end)),
    },
    {
      name: "ops_pitr_window_end_timestamp_seconds",
      help: "The newest moment that can be restored; absent where the server does not tell how far it is ahead.",
      samples: one(until === undefined ? undefined : until / 1000),
    },
    {
      name: "ops_pitr_base_backups",
      help: "Base backups that can be restored.",
      samples: one(new Set(windows.flatMap(({ bases }) => bases)).size),
    },
    {
      name: "ops_pitr_useless_base_backups",
      help: "Base backups that are damaged or lack WAL.",
      samples: one(useless.length),
    },
    {
      name: "ops_pitr_gaps",
      help: "Places at which WAL is missing before later WAL.",
      samples: one(windows.filter(({ missing }) => missing !== null).length),
    },
    {
      name: "ops_pitr_status_timestamp_seconds",
      help: "When this file was written.",
      samples: one(now.getTime() / 1000),
    },
  ]);
}

/** Undefined: not known. Times in milliseconds. */
function windowSeconds(
  begin: number | undefined,
  until: number | undefined,
  end: WindowEnd | null,
): number | undefined {
  if (begin === undefined || (until === undefined && end?.missing != null)) return 0;
  return until === undefined ? undefined : Math.max(0, until - begin) / 1000;
}
