import { setTimeout as delay } from "node:timers/promises";
import { expect, it } from "vitest";
import { systemClock } from "../../../src/core/clock.ts";
import { timeoutSignal } from "../../../src/core/timer.ts";

const thirtyDays = 30 * 86_400_000;

it("a limit of more than 24.8 days, which Node's own timers take for none, does not end at once", async () => {
  const signal = timeoutSignal(thirtyDays);
  await delay(20);
  expect(signal.aborted).toBe(false);
});

it("a pause of more than 24.8 days lasts until it is ended", async () => {
  const end = new AbortController();
  const pause = systemClock.sleep(thirtyDays, end.signal);
  const first = await Promise.race([pause.then(() => "over"), delay(20).then(() => "still waiting")]);
  end.abort(new Error("enough"));

  expect(first).toBe("still waiting");
  await expect(pause).rejects.toThrow("enough");
});

it("a limit ends when its time is over", async () => {
  const signal = timeoutSignal(5);
  await delay(50);
  expect(signal.aborted).toBe(true);
});
