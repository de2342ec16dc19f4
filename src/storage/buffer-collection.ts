import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

type Collect = (options: { readonly type: "minor" | "major" }) => void;

/** Bytes that may flow between two collections of what is young (about a millisecond). */
const interval = 3 * 2 ** 20;

let collect: Collect | undefined;

/**
 * Keeps the memory of a stream small. The buffers of a stream lie outside of V8's heap, which is small and seldom full, so
 * V8 alone would let about 100 MiB of them pile up before it looks which of them are needed no more.
 */
export class BufferCollection {
  private flowed = 0;
  private collections = 0;
  private readonly wholeEvery: number;

  /**
   * @param wholeEvery of so many collections one is of everything (some ten milliseconds): what was in use for a while is
   * no longer young
   */
  constructor(wholeEvery = 12) {
    this.wholeEvery = wholeEvery;
  }

  /** Tells that so many bytes have passed. */
  passed(bytes: number): void {
    this.flowed += bytes;
    if (this.flowed < interval) return;
    this.flowed = 0;
    collect ??= exposedCollection();
    this.collections += 1;
    collect({ type: this.collections % this.wholeEvery === 0 ? "major" : "minor" });
  }
}

/**
 * The function that V8 otherwise has only with `--expose-gc`. What is young does not get more room from then on: with
 * these collections it would double a few times, for nothing.
 */
function exposedCollection(): Collect {
  setFlagsFromString("--semi-space-growth-factor=1");
  setFlagsFromString("--expose-gc");
  return runInNewContext("gc") as Collect;
}
