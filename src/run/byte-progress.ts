import type { Report } from "./operation.ts";

const interval = 200;

/** Counts what flows through, unchanged, and tells how far it is, five times a second at most. */
export async function* reportBytes(
  source: AsyncIterable<Uint8Array>,
  report: Report,
  message: string,
  total?: number,
): AsyncGenerator<Uint8Array> {
  let done = 0;
  let last = 0;
  for await (const chunk of source) {
    done += chunk.length;
    const now = performance.now();
    if (now - last >= interval) {
      last = now;
      report.progress({ message, done, unit: "bytes", ...(total === undefined ? {} : { total }) });
    }
    yield chunk;
  }
}
