import { formatBytes } from "../core/size.ts";
import type { Report } from "../run/operation.ts";

/** Milliseconds between two reports. */
const interval = 200;

/** How far a dump is, over all its streams: rows of an estimate, bytes, and how fast. */
export class DumpProgress {
  private readonly report: Report;
  private readonly database: string;
  private readonly estimatedRows: number | undefined;
  private readonly begin = performance.now();
  private reportedAt = 0;
  private bytes = 0;
  private rows = 0;

  constructor(report: Report, database: string, estimatedRows: number | undefined) {
    this.report = report;
    this.database = database;
    this.estimatedRows = estimatedRows;
  }

  add(bytes: number, rows: number): void {
    this.bytes += bytes;
    this.rows += rows;
    const now = performance.now();
    if (now - this.reportedAt < interval) return;
    this.reportedAt = now;
    const perSecond = Math.round((this.rows * 1000) / Math.max(1, now - this.begin));
    const message = `dumping ${this.database}: ${formatBytes(this.bytes)}, ${perSecond} rows/s`;
    const total = this.estimatedRows;
    this.report.progress(
      total === undefined || total < this.rows
        ? { message, done: this.rows, unit: "rows" }
        : { message, done: this.rows, total, unit: "rows" },
    );
  }
}
