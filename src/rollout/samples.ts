import { badRequests, CountingWindow, difference, settledRequests } from "../request-source/counters.ts";
import type { Counters } from "../request-source/request-source.ts";
import { ResponseTimes } from "../request-source/response-times.ts";
import type { Sample } from "../run/sample.ts";
import type { Finding, TimesByVersion } from "./comparison.ts";
import type { Reading } from "./reading.ts";
import { sharesOf } from "./shares.ts";

/** What every version of a route did and what the comparison says of it, stretch by stretch: for the eye only. */
export class CanarySamples {
  private readonly every: number;
  private readonly shared: "traffic" | "users";
  private readonly counting: CountingWindow;
  private start: number;
  private counts = new Map<string, Counters>();
  private times = new Map<string, ResponseTimes>();

  /**
   * @param every milliseconds that a sample is long, at least
   * @param at monotonic milliseconds of the first reading
   * @param shared what the weights give out
   */
  constructor(every: number, at: number, reading: Reading, shared: "traffic" | "users") {
    this.every = every;
    this.shared = shared;
    this.counting = new CountingWindow(reading);
    this.start = at;
    for (const { version } of reading) this.counts.set(version, this.counting.counts(version));
  }

  /** The sample that ends with this look; undefined while it is not long enough, unless it is the last one. */
  add(
    at: number,
    now: Date,
    reading: Reading,
    times: TimesByVersion | undefined,
    findings: readonly Finding[],
    isLast = false,
  ): Sample | undefined {
    this.counting.add(reading);
    for (const [version, each] of times ?? []) {
      const all = this.times.get(version) ?? new ResponseTimes();
      all.addAll(each);
      this.times.set(version, all);
    }
    const seconds = (at - this.start) / 1000;
    if (seconds <= 0 || (!isLast && at - this.start < this.every)) return undefined;
    const counted = new Map(
      reading.map(({ version }) => {
        const before = this.counts.get(version);
        const present = this.counting.counts(version);
        this.counts.set(version, present);
        return [version, before === undefined ? present : difference(present, before)];
      }),
    );
    const measured = (of: (version: string, counts: Counters) => number | null) =>
      Object.fromEntries([...counted].map(([version, counts]) => [version, of(version, counts)]));
    const shares = sharesOf(Object.fromEntries(reading.map(({ version, weight }) => [version, weight])));
    const sample: Sample = {
      at: now.toISOString(),
      measures: [
        { name: `% of ${this.shared}`, lines: measured((version) => shares[version] ?? 0) },
        { name: "requests/s", lines: measured((_, { requests }) => requests / seconds) },
        {
          name: "% bad",
          lines: measured((_, counts) => {
            const settled = settledRequests(counts);
            return settled === 0 ? null : (100 * badRequests(counts)) / settled;
          }),
        },
        times === undefined
          ? { name: "ms on average", lines: means(reading) }
          : { name: "ms p95", lines: measured((version) => this.times.get(version)?.percentile(95) ?? null) },
        ...findings.slice(0, 1).map(({ threshold }) => ({
          name: "e-value",
          scale: "log" as const,
          limit: threshold,
          lines: Object.fromEntries(findings.map(({ of, evidence }) => [of, evidence])),
        })),
      ],
    };
    this.start = at;
    this.times = new Map();
    return sample;
  }
}

function means(reading: Reading): Record<string, number | null> {
  return Object.fromEntries(reading.map(({ version, meanResponse }) => [version, meanResponse ?? null]));
}
