import type { Report } from "./operation.ts";

/** Milliseconds between two reports. */
const interval = 200;

/** Tells how many bytes are done, five times a second at most. */
export class ByteProgress {
  private readonly report: Report;
  private readonly message: string;
  private readonly total: number | undefined;
  private done = 0;
  private reportedAt = 0;

  constructor(report: Report, message: string, total?: number) {
    this.report = report;
    this.message = message;
    this.total = total;
  }

  add(bytes: number): void {
    this.done += bytes;
    const now = performance.now();
    if (now - this.reportedAt < interval) return;
    this.reportedAt = now;
    const { message, done, total } = this;
    this.report.progress({ message, done, unit: "bytes", ...(total === undefined ? {} : { total }) });
  }
}

/** Counts what flows through, unchanged. */
export async function* reportBytes(
  source: AsyncIterable<Uint8Array>,
  report: Report,
  message: string,
  total?: number,
): AsyncGenerator<Uint8Array> {
  const progress = new ByteProgress(report, message, total);
  for await (const chunk of source) {
    progress.add(chunk.length);
    yield chunk;
  }
}
