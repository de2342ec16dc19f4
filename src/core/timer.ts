/** Node fires a longer timer at once. */
const longestTimer = 2 ** 31 - 1;

/** Calls `work` after any number of milliseconds; returns what cancels it. Does not keep the process alive. */
export function after(ms: number, work: () => void): () => void {
  let timer: NodeJS.Timeout;
  const wait = (left: number) => {
    timer = setTimeout(
      () => (left > longestTimer ? wait(left - longestTimer) : work()),
      Math.min(left, longestTimer),
    );
    timer.unref();
  };
  wait(ms);
  return () => clearTimeout(timer);
}

/** As AbortSignal.timeout, for any number of milliseconds. */
export function timeoutSignal(ms: number): AbortSignal {
  if (ms <= longestTimer) return AbortSignal.timeout(ms);
  const controller = new AbortController();
  after(ms, () => controller.abort(new DOMException("The time is over", "TimeoutError")));
  return controller.signal;
}
