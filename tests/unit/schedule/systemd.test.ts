import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import type { Call } from "../../../src/schedule/call.ts";
import { installedUnits, timersIn, unitsOf, writeUnits } from "../../../src/schedule/systemd.ts";

const call: Call = {
  file: "/srv/my app/.opsrc",
  environment: "production",
  command: ["/usr/bin/node", "/opt/100%/$ops", "schedule", "run-due"],
  variables: { PATH: "/usr/bin:/bin" },
};

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "ops-units-"));
});
afterEach(() => {
  rmSync(folder, { recursive: true });
});

it("has a service and a timer for each schedule, with what systemd reads escaped", () => {
  const units = unitsOf(call, ["nightly"]);
  const [timer = ""] = timersIn(units);

  expect(timer).toMatch(/^ops-production-nightly-[0-9a-f]{8}\.timer$/);
  expect(units[timer.replace(".timer", ".service")]).toContain(
    'ExecStart="/usr/bin/node" "/opt/100%%/$$ops" "schedule" "run-due" "nightly"\n',
  );
});

it("makes the folder hold just its own units, and leaves those of others", () => {
  writeFileSync(join(folder, "ops-production-nightly-00000000.timer"), "another configuration's");
  writeFileSync(join(folder, "else.service"), "something else");
  writeUnits(folder, call, unitsOf(call, ["nightly", "weekly"]));
  writeUnits(folder, call, unitsOf(call, ["nightly"]));

  expect(installedUnits(folder, call)).toEqual(unitsOf(call, ["nightly"]));
  expect(readdirSync(folder)).toHaveLength(4);

  writeUnits(folder, call, {});
  expect(readdirSync(folder).sort()).toEqual(["else.service", "ops-production-nightly-00000000.timer"]);
});
