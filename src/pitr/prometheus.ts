import { metricsText } from "../metrics/text.ts";
import { openWindow, type WindowReport } from "./window.ts";

/**
 * What moments a cluster can be restored to.
 *
 * @param newest the newest timeline in the archive: a window of another one does not reach the end
 */
export function prometheusText(report: WindowReport, newest: number, environment: string, now: Date): string {
  const { database, store, windows, useless } = report;
  const labels = { environment, database, store };
  const one = (value: number | undefined) => (value === undefined ? [] : [{ labels, value }]);
  const open = openWindow(windows, newest);
  const begin = open === undefined ? undefined : Date.parse(open.from);
  return metricsText([
    {
      name: "ops_pitr_window_begin_timestamp_seconds",
      help: "The earliest moment from which every later one can be restored, up to the end of the archive.",
      samples: one(begin === undefined ? undefined : begin / 1000),
    },
    {
      name: "ops_pitr_window_seconds",
      help: "How far back that was when this file was written; 0 where nothing can be restored without a gap.",
      samples: one(begin === undefined ? 0 : Math.max(0, now.getTime() - begin) / 1000),
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
