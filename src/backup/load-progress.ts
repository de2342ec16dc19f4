import type { LoadProgress } from "../archive/load.ts";
import type { Report } from "../run/operation.ts";

/** Milliseconds between two reports. */
const interval = 200;

/** Shows how a backup is loaded: one phase after the other, each with its own bar. */
export class ReportedLoad implements LoadProgress {
  private readonly report: Report;
  private readonly message: string;
  private name: "schema" | "rows" | "indexes" = "schema";
  private total: number | undefined;
  private rows = 0;
  private done = 0;
  private reportedAt = 0;
  private begin = 0;

  constructor(report: Report, message: string) {
    this.report = report;
    this.message = message;
  }

  phase(name: "schema" | "rows" | "indexes", total: number | undefined, rows = 0): void {
    this.name = name;
    this.total = total;
    this.rows = rows;
    this.done = 0;
    this.begin = performance.now();
    this.tell();
  }

  add(amount: number): void {
    this.done += amount;
    if (performance.now() - this.reportedAt >= interval) this.tell();
  }

  private tell(): void {
    this.reportedAt = performance.now();
    const { name, total, done } = this;
    const message = `${this.message}: ${name}`;
    if (total === undefined) this.report.progress({ message });
    else if (name === "rows") {
      this.report.progress({ message: `${message}${this.speed()}`, done, total, unit: "bytes" });
    } else this.report.progress({ message, done, total });
  }

  /** From the share of the bytes: to count rows on the way would cost as much as to send them. */
  private speed(): string {
    if (this.rows === 0 || this.done === 0 || this.total === undefined) return "";
    const seconds = Math.max(0.001, (performance.now() - this.begin) / 1000);
    const perSecond = (this.rows * (this.done / this.total)) / seconds;
    return `, about ${Math.round(perSecond)} rows/s`;
  }
}
