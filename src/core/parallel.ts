/**
 * Works on all items, at most `limit` at a time, and returns the results in the order of the items. The first failure
 * aborts the others' signal, waits until they have ended, and is thrown.
 */
export async function inParallel<T, R>(
  items: readonly T[],
  limit: number,
  signal: AbortSignal,
  work: (item: T, signal: AbortSignal) => Promise<R>,
): Promise<R[]> {
  const given = new AbortController();
  const both = AbortSignal.any([signal, given.signal]);
  const results: R[] = [];
  const queue = items.entries();
  const worker = async () => {
    for (const [index, item] of queue) {
      both.throwIfAborted();
      results[index] = await work(item, both);
    }
  };
  const workers = Array.from({ length: Math.min(limit, items.length) }, worker);
  try {
    await Promise.all(workers);
    return results;
  } catch (error) {
    given.abort(error);
    await Promise.allSettled(workers);
    throw error;
  }
}
