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
  private done = 0;
  private reportedAt = 0;

  constructor(report: Report, message: string) {
    this.report = report;
    this.message = message;
  }

  phase(name: "schema" | "rows" | "indexes", total: number | undefined): void {
    this.name = name;
    this.total = total;
    this.done = 0;
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
    else if (name === "rows") this.report.progress({ message, done, total, unit: "bytes" });
    else this.report.progress({ message, done, total });
  }
}
