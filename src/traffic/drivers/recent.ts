/**
 * The answer of a question that costs a call to a service with a limit of calls: asked again only where the last answer
 * is older than `age` milliseconds or `forget` was called since. Callers at the same time share one question; one that
 * failed is asked again.
 */
export class Recent<T> {
  private readonly age: number;
  private readonly ask: (signal: AbortSignal | undefined) => Promise<T>;
  private last: { readonly asked: number; readonly answer: Promise<T> } | undefined;

  constructor(age: number, ask: (signal: AbortSignal | undefined) => Promise<T>) {
    this.age = age;
    this.ask = ask;
  }

  get(signal?: AbortSignal): Promise<T> {
    const now = performance.now();
    if (this.last !== undefined && now - this.last.asked < this.age) return this.last.answer;
    const answer = this.ask(signal);
    const asked = { asked: now, answer };
    this.last = asked;
    answer.catch(() => {
      if (this.last === asked) this.last = undefined;
    });
    return answer;
  }

  forget(): void {
    this.last = undefined;
  }
}
