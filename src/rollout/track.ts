import { z } from "zod";
import { EProcess, type Outcomes } from "../judge/e-process.ts";

const outcomes = z.object({ requests: z.number(), bad: z.number() });

/** What a track needs to go on after a crash. */
export const trackState = z.object({ logs: z.array(z.number()), candidate: outcomes, baseline: outcomes });

/** The new version, and those that serve beside it. */
export interface Pair {
  candidate: Outcomes;
  baseline: Outcomes;
}

export const nothing: Outcomes = { requests: 0, bad: 0 };
export const plus = (a: Outcomes, b: Outcomes): Outcomes => ({
  requests: a.requests + b.requests,
  bad: a.bad + b.bad,
});
export const minus = (a: Outcomes, b: Outcomes): Outcomes => ({
  requests: a.requests - b.requests,
  bad: a.bad - b.bad,
});

/** Evidence and totals of one kind of outcome. */
export class Track {
  private readonly process: EProcess;
  private total: Pair;
  /** Of looks in which only one side had an answer: they wait for the other side's. */
  private pending: Pair = { candidate: nothing, baseline: nothing };

  constructor(dispersion: number, tolerated: number, state?: z.output<typeof trackState>) {
    this.process = new EProcess(dispersion, tolerated, state?.logs);
    this.total = { candidate: state?.candidate ?? nothing, baseline: state?.baseline ?? nothing };
  }

  add(pair: Readonly<Pair>): void {
    const { pending } = this;
    pending.candidate = plus(pending.candidate, pair.candidate);
    pending.baseline = plus(pending.baseline, pair.baseline);
    if (pending.candidate.requests === 0 || pending.baseline.requests === 0) return;
    this.process.add(pending.candidate, pending.baseline);
    this.total = {
      candidate: plus(this.total.candidate, pending.candidate),
      baseline: plus(this.total.baseline, pending.baseline),
    };
    this.pending = { candidate: nothing, baseline: nothing };
  }

  /** The e-value; 1: nothing is known. */
  get evidence(): number {
    // JSON knows no infinity.
    return Math.min(this.process.evidence, Number.MAX_VALUE);
  }

  get summary() {
    const { candidate, baseline } = this.total;
    const beside = baseline.bad / baseline.requests;
    return {
      evidence: this.evidence,
      ratio: beside > 0 ? candidate.bad / candidate.requests / beside : null,
      requests: candidate.requests,
      bad: candidate.bad,
      besideRequests: baseline.requests,
      besideBad: baseline.bad,
    };
  }

  get state(): z.output<typeof trackState> {
    return { logs: [...this.process.state], candidate: this.total.candidate, baseline: this.total.baseline };
  }
}
