import { Chalk } from "chalk";
import { expect, it } from "vitest";
import { renderStandings } from "../../../src/cli/render/standings.ts";

it("each line has its sign, its newest values and what is said of it, cut to the room there is", () => {
  const standings = [
    { name: "health", status: "pass", text: "HTTP 200", values: [] },
    {
      name: "errors",
      status: "fail",
      text: `7%, limit > 5%, ${"and more ".repeat(9)}`,
      values: [0, null, 3.5, 7],
    },
  ] as const;

  const lines = renderStandings(standings, 40, new Chalk({ level: 0 }));

  expect(lines).toEqual(["✓ health        HTTP 200", "✗ errors  ▁ ▄█  7%, limit > 5%, and mor…"]);
  expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(40);
});
