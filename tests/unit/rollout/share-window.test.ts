import { describe, expect, test } from "vitest";
import { noCounts } from "../../../src/request-source/counters.ts";
import type { Reading } from "../../../src/rollout/reading.ts";
import { ShareWindow } from "../../../src/rollout/share-window.ts";

/** What 1000 requests a second leave, of which the new version gets a share (0–1) that depends on the second. */
function seconds(count: number, share: (second: number) => number): Reading[] {
  const total = { blue: 0, green: 0 };
  return Array.from({ length: count + 1 }, (_, second) => {
    const green = second === 0 ? 0 : Math.round(1000 * share(second));
    total.green += green;
    total.blue += second === 0 ? 0 : 1000 - green;
    return (["blue", "green"] as const).map((version) => ({
      version,
      server: version,
      weight: 1,
      health: "up",
      status: "UP",
      process: "1",
      counters: { ...noCounts, requests: total[version] },
    }));
  });
}

function shown(readings: readonly Reading[], counts: "newest" | "all"): string[] {
  const window = new ShareWindow("green", 0.1, 0, readings[0] ?? [], counts);
  return readings.slice(1).map((reading, index) => {
    window.add(1000 * (index + 1), reading);
    return window.observe("requests").verdict;
  });
}

describe("the share of a version", () => {
  /** As HAProxy does with `slowstart 30s`. */
  const slowly = (second: number) => 0.1 * Math.min(1, second / 30);

  test("that a balancer gives slowly shows soon after it has it, however many came before", () => {
    const found = shown(seconds(120, slowly), "newest");

    expect(found.slice(0, 30)).not.toContain("agrees");
    expect(found.slice(60)).toEqual(Array(60).fill("agrees"));
    expect(shown(seconds(120, slowly), "all").at(-1)).toBe("disagrees");
  });

  test("that it loses again is seen", () => {
    expect(
      shown(
        seconds(60, (second) => (second < 20 ? 0.1 : 0.02)),
        "newest",
      ).at(-1),
    ).toBe("disagrees");
  });

  test("of few requests is that of all of them", () => {
    const few = seconds(90, () => 0.1).map((reading) =>
      reading.map((each) => ({
        ...each,
        counters: { ...noCounts, requests: Math.floor(each.counters.requests / 2000) },
      })),
    );

    expect(shown(few, "newest").at(-1)).toBe("agrees");
  });
});
