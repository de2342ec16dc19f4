import { expect, it } from "vitest";
import { isRestoreCommand, restoreExitCode } from "../../../src/cli/restore-exit-code.ts";

it.each([
  [0, undefined, 0],
  [1, "E_WAL_MISSING", 1],
  [1, "E_OBJECT_MISSING", 255],
  [2, "E_CONFIG", 255],
  [3, undefined, 255],
  [130, "E_INTERRUPTED", 255],
])("%i with %s ends as %i", (exitCode, code, expected) => {
  expect(restoreExitCode(exitCode, code)).toBe(expected);
});

it("is for wal fetch alone", () => {
  expect(isRestoreCommand(["wal", "fetch", "a", "b"])).toBe(true);
  expect(isRestoreCommand(["wal", "push", "a"])).toBe(false);
  expect(isRestoreCommand(["flag", "set", "fetch"])).toBe(false);
});
