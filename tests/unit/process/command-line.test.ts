import { expect, test } from "vitest";
import { showCommand } from "../../../src/process/command-line.ts";

test.each([
  [["npm", "run", "smoke-test"], "npm run smoke-test"],
  [["echo", "two words", "it's"], "echo 'two words' 'it'\\''s'"],
  [["echo", ""], "echo ''"],
])("%o is shown as %s", (command, shown) => {
  expect(showCommand(command)).toBe(shown);
});

test("a long command is cut", () => {
  expect(showCommand(["echo", "x".repeat(500)])).toHaveLength(120);
});
