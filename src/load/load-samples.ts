import { formatPercent } from "../core/percent.ts";
import type { LoadInterval, LoadPlan } from "../load-engine/plan.ts";
import type { LoadThreshold } from "../measured-series/load-threshold.ts";
import type { Sample } from "../run/sample.ts";
import { shownRate, shownTime } from "./verdict.ts";

/** Points of the report's charts, at most. */
const mostSamples = 240;

/** What a load meets while it goes on, for the eye only: users, requests a second, the slow ones, bad ones. */
export class LoadSamples {
  private readonly name: string;
  private readonly intervalMs: number;
  private readonly limits: { readonly p95: number | undefined; readonly bad: number | undefined };
  private readonly startedAt: Date;
  /** A longer load has a coarser chart. */
  private readonly every: number;
  private samples: Sample[] = [];
  private seen = 0;

  constructor(
    name: string,
    plan: Pick<LoadPlan, "intervalMs" | "durationMs">,
    thresholds: readonly LoadThreshold[],
    startedAt: Date,
  ) {
    this.name = name;
    this.intervalMs = plan.intervalMs;
    this.startedAt = startedAt;
    this.every = Math.max(1, Math.ceil(plan.durationMs / plan.intervalMs / mostSamples));
    const limit = (measure: string) =>
      thresholds.find((each) => each.measure === measure && /</.test(each.operator))?.value;
    this.limits = { p95: limit("p95"), bad: limit("error-rate") };
  }

  add(interval: LoadInterval): Sample {
    const { at, users, requests, bad, p95 } = interval;
    const lines = (value: number | null) => ({ [this.name]: value });
    const { p95: slow, bad: tooMany } = this.limits;
    const sample: Sample = {
      at: new Date(this.startedAt.getTime() + at + this.intervalMs).toISOString(),
      measures: [
        { name: "users", lines: lines(users) },
        { name: "requests/s", lines: lines(this.rate(interval)) },
        { name: "ms p95", lines: lines(p95), ...(slow === undefined ? {} : { limit: slow }) },
        {
          name: "% bad",
          lines: lines(requests === 0 ? null : (100 * bad) / requests),
          ...(tooMany === undefined ? {} : { limit: tooMany }),
        },
      ],
    };
    if (this.seen % this.every === 0) this.samples.push(sample);
    this.seen += 1;
    return sample;
  }

  /** Those for the report's charts that came since the last call: each is journaled once. */
  take(): Sample[] {
    const taken = this.samples;
    this.samples = [];
    return taken;
  }

  line(interval: LoadInterval): string {
    const { users, requests, bad, p95 } = interval;
    const times = p95 === null ? "no answer" : `p95 ${shownTime(p95)}`;
    const share = requests === 0 ? 0 : (100 * bad) / requests;
    return `${users} users, ${shownRate(this.rate(interval))}, ${times}, ${formatPercent(share)} bad`;
  }

  private rate({ requests }: LoadInterval): number {
    return (1000 * requests) / this.intervalMs;
  }
}
