import { describe, expect, test } from "vitest";
import { clock } from "../../../src/doctor/database.ts";
import { judgeSpace } from "../../../src/doctor/directory.ts";
import { missing, needsMending, ok, renderFindings, warn } from "../../../src/doctor/finding.ts";
import { nodeVersion } from "../../../src/doctor/programs.ts";

const GiB = 2 ** 30;

describe("free space", () => {
  test.each([
    [50 * GiB, 100 * GiB, "ok", "50.0 GiB of 100 GiB free (50%)"],
    [9 * GiB, 100 * GiB, "warn", "9.0 GiB of 100 GiB free (9%), less than 10%"],
    [4 * GiB, 20 * GiB, "warn", "4.0 GiB of 20.0 GiB free (20%), less than 5 GiB"],
  ])("%i of %i bytes is %s", (free, total, status, message) => {
    expect(judgeSpace("disk", free, total)).toMatchObject({ status, message });
  });
});

describe("a server's clock", () => {
  test.each([
    [1500, 0, "ok", "agrees with this machine's"],
    [3000, 2000, "ok", "agrees with this machine's"],
    [90_000, 5, "warn", "1m 30s ahead of this machine's"],
    [-3000, 5, "warn", "3.0s behind this machine's"],
  ])("%i ms off, give or take %i, is %s", (skew, doubt, status, message) => {
    expect(clock("clock", skew, doubt)).toMatchObject({ status, message });
  });
});

test.each([
  ["24.0.0", "ok"],
  ["25.1.0", "ok"],
  ["22.9.0", "missing"],
])("Node %s is %s", (version, status) => {
  expect(nodeVersion(version).status).toBe(status);
});

test("only what is missing needs mending", () => {
  expect(needsMending([ok("a", "fine"), warn("b", "tight", "free some")])).toBe(false);
  expect(needsMending([missing("c", "gone")])).toBe(true);
});

test("findings are lines with what mends them underneath", () => {
  const findings = [ok("node", "24.1.0"), warn("disk", "tight", "free some"), missing("psql", "gone", "apt")];

  expect(renderFindings(findings)).toBe(
    [
      "✓ node  24.1.0",
      "! disk  tight",
      "        mend it: free some",
      "✗ psql  gone",
      "        mend it: apt",
      "1 ok, 1 to look at, 1 missing",
    ].join("\n"),
  );
});

test("a password in a message is masked", () => {
  expect(ok("database", "postgresql://app:hunter22@db/x").message).toBe("postgresql://app:***@db/x");
});
