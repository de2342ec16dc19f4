import { execFileSync } from "node:child_process";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Call } from "../../../src/schedule/call.ts";
import { cronBlock, findBlock, withBlock } from "../../../src/schedule/crontab.ts";

const call: Call = {
  file: "/srv/app/.opsrc",
  environment: "production",
  command: ["/usr/bin/node", "/opt/ops/bin/ops", "schedule", "run-due"],
  variables: { PATH: "/usr/bin:/bin" },
};
const other = { ...call, environment: "staging" };
const line = fc
  .string({ unit: "grapheme-ascii", maxLength: 30 })
  .filter((each) => !each.includes("ops schedules"));
const crontab = fc.array(line, { maxLength: 6 }).map((lines) => lines.map((each) => `${each}\n`).join(""));

describe("the block in a crontab", () => {
  it("goes in and out again, and every other line stays as it was", () => {
    fc.assert(
      fc.property(crontab, crontab, (before, after) => {
        const block = cronBlock(call);
        const whole = `${withBlock(before, call, block)}${after}`;

        expect(findBlock(whole, call)).toBe(block);
        expect(withBlock(whole, call, block)).toBe(whole);
        expect(withBlock(whole, call, undefined)).toBe(`${before}${after}`);
      }),
    );
  });

  it("is another one for another environment", () => {
    const both = withBlock(withBlock("", call, cronBlock(call)), other, cronBlock(other));

    expect(withBlock(both, call, undefined)).toBe(cronBlock(other));
  });

  it("that lost its end is left alone, with the way out", () => {
    const damaged = cronBlock(call).split("\n").slice(0, 3).join("\n");

    expect(() => withBlock(damaged, call, undefined)).toThrow(
      expect.objectContaining({ code: "E_CRONTAB", hint: expect.stringContaining("crontab -e") }),
    );
  });

  it("closes a last line that has no end", () => {
    expect(withBlock("5 5 * * * x", call, cronBlock(call))).toBe(`5 5 * * * x\n${cronBlock(call)}`);
  });
});

describe("the line for cron", () => {
  it.each([["a b"], ["it's"], ["100%"], ['"$HOME"'], ["`id`\\"]])("passes %j on as it is", (odd) => {
    const shown = cronBlock({ ...call, command: ["/usr/bin/printf", "%s|", odd], variables: { X: odd } });
    const [, , command = ""] = shown.split("\n");
    expect(command).toMatch(/^\* \* \* \* \* /);
    expect(command).not.toMatch(/(?<!\\)%/);

    // As crontab(5) says: \% becomes %, and a shell reads the rest.
    const read = command.slice("* * * * * ".length).replaceAll("\\%", "%");
    expect(execFileSync("/bin/sh", ["-c", read], { encoding: "utf8" })).toBe(`${odd}|--quiet|`);
  });

  it("is refused where cron would cut it", () => {
    expect(() => cronBlock({ ...call, variables: { PATH: "/x".repeat(500) } })).toThrow(
      expect.objectContaining({ code: "E_CRONTAB", exitCode: 2 }),
    );
  });
});
