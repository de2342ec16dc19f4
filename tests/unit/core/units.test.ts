import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { formatDuration, parseDuration } from "../../../src/core/duration.ts";
import { OpsError } from "../../../src/core/errors.ts";
import { formatPercent, parsePercent } from "../../../src/core/percent.ts";
import { formatBytes, parseRate, parseSize } from "../../../src/core/size.ts";
import { exceeds, parseThreshold } from "../../../src/core/threshold.ts";

function refusal(work: () => unknown): OpsError {
  try {
    work();
  } catch (error) {
    if (error instanceof OpsError) return error;
    throw error;
  }
  throw new Error("nothing was refused");
}

describe("a size", () => {
  it.each([
    ["512B", 512],
    ["16MiB", 16_777_216],
    ["1.5 GiB", 1_610_612_736],
    ["10MB", 10_000_000],
    ["2TiB", 2_199_023_255_552],
  ])("%s is %d bytes", (text, bytes) => {
    expect(parseSize(text)).toBe(bytes);
    expect(parseRate(`${text}/s`)).toBe(bytes);
  });

  it.each(["", "10", "0B", "-1MiB", "1mib", "MiB", "1 PiB", "99999999TiB", "10MiB/s"])(
    "%j is refused",
    (text) => {
      expect(refusal(() => parseSize(text))).toMatchObject({ code: "E_SIZE", exitCode: 2 });
    },
  );

  it.each(["50MiB", "50/s", "50MiB/m", "/s"])("%j is no rate", (text) => {
    expect(refusal(() => parseRate(text))).toMatchObject({ code: "E_SIZE", exitCode: 2 });
  });
});

describe("a duration", () => {
  it.each([
    ["500ms", 500],
    ["10s", 10_000],
    ["1.5s", 1500],
    ["1h30m", 5_400_000],
    ["7d", 604_800_000],
    [" 2m ", 120_000],
    ["0s", 0],
  ])("%s is %d ms", (text, ms) => {
    expect(parseDuration(text)).toBe(ms);
  });

  it.each(["", "10", "10 s", "s", "1w", "-5s", "5s later", "1h-30m", "1e3s", "١٠s"])(
    "%j is refused",
    (text) => {
      expect(refusal(() => parseDuration(text))).toMatchObject({ code: "E_DURATION", exitCode: 2 });
    },
  );

  it("of whole units adds up, in any order", () => {
    const part = fc.record({ amount: fc.nat(1000), unit: fc.constantFrom("ms", "s", "m", "h", "d") });
    const size = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };
    fc.assert(
      fc.property(fc.array(part, { minLength: 1, maxLength: 5 }), (parts) => {
        const text = parts.map(({ amount, unit }) => `${amount}${unit}`).join("");
        const sum = parts.reduce((total, { amount, unit }) => total + amount * size[unit], 0);
        expect(parseDuration(text)).toBe(sum);
      }),
    );
  });

  it.each([
    [0, "0ms"],
    [999, "999ms"],
    [400 + 1000, "1.4s"],
    [9_949, "9.9s"],
    [9_999, "10s"],
    [59_600, "1m 00s"],
    [185_000, "3m 05s"],
    [7_800_000, "2h 10m"],
    [277_200_000, "3d 5h"],
  ])("%d ms is shown as %s", (ms, shown) => {
    expect(formatDuration(ms)).toBe(shown);
  });

  it("is never shown as 60 seconds, 60 minutes or 24 hours", () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 30 * 86_400_000 }), (ms) => {
        expect(formatDuration(ms)).not.toMatch(/\b60s|\b60m|\b24h/);
      }),
    );
  });
});

describe("a percentage", () => {
  it("of every value between 0 and 100 is read with its sign", () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 10_000 }), (hundredths) => {
        expect(parsePercent(`${hundredths / 100}%`)).toBe(hundredths / 100);
      }),
    );
  });

  it.each([
    ["10", "write it with its sign: 10%"],
    ["0.1", "write it with its sign: 10%"],
    ["120%", "write at most 100%"],
    ["-5%", "write it with its sign: 10%"],
    ["ten%", "write it with its sign: 10%"],
  ])("%j is refused, with the hint: %s", (text, hint) => {
    expect(refusal(() => parsePercent(text))).toMatchObject({ code: "E_PERCENT", hint });
  });

  it.each([
    [10, "10%"],
    [0.25, "0.25%"],
    [33.333333, "33.33%"],
    [0.00123, "0.001%"],
    [100, "100%"],
  ])("%d is shown as %s", (value, shown) => {
    expect(formatPercent(value)).toBe(shown);
  });
});

describe("a size", () => {
  it.each([
    [0, "0 B"],
    [512, "512 B"],
    [1536, "1.5 KiB"],
    [12 * 2 ** 30, "12.0 GiB"],
    [150 * 2 ** 20, "150 MiB"],
    [5000 * 2 ** 40, "5000 TiB"],
  ])("of %d bytes is shown as %s", (value, shown) => {
    expect(formatBytes(value)).toBe(shown);
  });
});

describe("a threshold", () => {
  it.each([
    ["> 5%", ">", 5, "percent"],
    [">500ms", ">", 500, "duration"],
    ["<= 3", "<=", 3, "number"],
    ["== -1", "==", -1, "number"],
    ["!= 0", "!=", 0, "number"],
    ["< 5GiB", "<", 5 * 2 ** 30, "bytes"],
    [">= 2 MB", ">=", 2e6, "bytes"],
  ])("%s is understood", (text, operator, value, unit) => {
    expect(parseThreshold(text)).toEqual({ operator, value, unit, text });
  });

  it.each(["5%", "> ", "=> 5", "> five", "above 3", "", "> 5 %%"])("%j is refused", (text) => {
    expect(refusal(() => parseThreshold(text)).exitCode).toBe(2);
  });

  it("and its opposite never agree", () => {
    const opposites = [
      [">", "<="],
      ["<", ">="],
      ["==", "!="],
    ] as const;
    fc.assert(
      fc.property(fc.constantFrom(...opposites), fc.integer(), fc.integer(), ([one, other], value, limit) => {
        const holds = (operator: string) => exceeds(value, parseThreshold(`${operator} ${limit}`));
        expect(holds(one)).toBe(!holds(other));
      }),
    );
  });
});
