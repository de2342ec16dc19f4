import { expect, test } from "vitest";
import { operations } from "../../../src/migrate/operations.ts";
import type { Operation } from "../../../src/run/operation.ts";

function operation(name: string): Operation {
  const found = operations.find((each) => each.name === name);
  if (found === undefined) throw new Error(`there is no operation ${name}`);
  return found;
}

const file = (version: string, reversible = true) => ({
  version,
  name: "orders",
  checksum: `sha256:${version}`,
  reversible,
});

test("migrate.up plans one change for each file, and says where there is no way back", () => {
  const before = { database: "main", applied: [], planned: [file("0001"), file("0002", false)] };
  expect(operation("migrate.up").plan(before, {})).toEqual([
    {
      target: "database:main",
      action: "run",
      summary: "apply 0001_orders",
      to: "sha256:0001",
    },
    {
      target: "database:main",
      action: "run",
      summary: "apply 0002_orders (no way back: 0002_orders.down.sql is missing)",
      to: "sha256:0002",
    },
  ]);
});

test("migrate.up plans nothing where nothing is pending", () => {
  expect(operation("migrate.up").plan({ database: "main", applied: ["0001"], planned: [] }, {})).toEqual([]);
});

test("migrate.down loses data and says so", () => {
  expect(operation("migrate.down").effect).toBe("destroy");
});

test("a lock timeout of zero, which PostgreSQL takes for no limit, is refused", () => {
  const result = operation("migrate.up").input.safeParse({ "lock-timeout": "0s" });
  expect(result.error?.issues[0]?.message).toBe("must be at least 1ms: PostgreSQL takes 0 for no limit");
});

test("a version that YAML has read as a number is the same version", () => {
  expect(operation("migrate.up").input.parse({ to: 2 })).toMatchObject({ to: "2" });
});
