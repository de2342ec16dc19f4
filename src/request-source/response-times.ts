/** Response times in whole milliseconds, kept as counts: memory grows with their spread, not with their number. */
export class ResponseTimes {
  private readonly counts = new Map<number, number>();
  total = 0;

  add(milliseconds: number, times = 1): void {
    const whole = Math.round(milliseconds);
    this.counts.set(whole, (this.counts.get(whole) ?? 0) + times);
    this.total += times;
  }

  addAll(other: ResponseTimes): void {
    for (const [time, count] of other.counts) this.add(time, count);
  }

  /** How many times satisfy a condition. */
  count(condition: (milliseconds: number) => boolean): number {
    let found = 0;
    for (const [time, count] of this.counts) if (condition(time)) found += count;
    return found;
  }

  /** Nearest rank: the smallest time that at least `percent` of all requests did not exceed. Undefined when empty. */
  percentile(percent: number): number | undefined {
    const rank = Math.max(1, Math.ceil((percent / 100) * this.total));
    let seen = 0;
    for (const [time, count] of [...this.counts].sort(([a], [b]) => a - b)) {
      seen += count;
      if (seen >= rank) return time;
    }
    return undefined;
  }
}
