import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Cluster } from "../../../src/postgres/cluster.ts";
import { perform } from "../../support/context.ts";
import { startTestCluster } from "../../support/postgres.ts";
import { Project, status, up } from "./project.ts";

let cluster: Cluster;
beforeAll(async () => {
  cluster = await startTestCluster();
});
afterAll(() => cluster.stop());

const expandAndContract = {
  "1_orders.up.sql": "CREATE TABLE orders (id int PRIMARY KEY, state text);",
  "2_status.up.sql": "ALTER TABLE orders ADD COLUMN status text;",
  "3_state.up.sql": "-- ops: phase=contract\nALTER TABLE orders DROP COLUMN state;",
  "4_items.up.sql": "CREATE TABLE items (id int);",
};
const applied = async (project: Project) => (await project.state()).applied;

describe("migrate.up by phases", () => {
  test("expand steps over a contract migration, which is pending and comes later", async () => {
    await using project = await Project.create(cluster, expandAndContract);

    const { changes } = await perform(up, project.context(), { phase: "expand" });

    expect(changes.map((each) => each.summary.split(" ")[1])).toEqual(["1_orders", "2_status", "4_items"]);
    expect(await applied(project)).toEqual(["1", "2", "4"]);
    const { output } = await perform(status, project.context(), {});
    expect(output).toMatchObject({
      migrations: [{}, {}, { version: "3", state: "pending", note: "phase contract" }, {}],
    });

    const contract = await perform(up, project.context(), { phase: "contract", soak: "0s" });
    expect(contract.changes[0]?.summary).toMatch(/^apply 3_state.*\(contract\)/);
    expect(await applied(project)).toEqual(["1", "2", "3", "4"]);
  });

  test("all is the default, in the order of the versions and without conditions", async () => {
    await using project = await Project.create(cluster, expandAndContract);
    const { output } = await perform(up, project.context(), {});
    expect(output).toMatchObject({
      applied: [{ version: "1" }, { version: "2" }, { version: "3" }, { version: "4" }],
      overridden: [],
    });
  });

  test("expand refuses, when it is planned, what stands on a contract migration", async () => {
    await using project = await Project.create(cluster, {
      ...expandAndContract,
      "5_again.up.sql": "ALTER TABLE orders ADD COLUMN state int;",
    });
    await expect(up.observe(project.context(), up.input.parse({ phase: "expand" }))).rejects.toMatchObject({
      code: "E_MIGRATIONS",
      message:
        "5_again.up.sql makes orders.state, which 3_state.up.sql (contract, not applied) removes first",
    });
  });

  test("contract can be planned before expand has run, and refuses to run before it", async () => {
    await using project = await Project.create(cluster, expandAndContract);
    const input = up.input.parse({ phase: "contract", soak: "0s" });
    const before = await up.observe(project.context(), input);
    expect(up.plan(before, input)).toHaveLength(1);
    await expect(perform(up, project.context(), { phase: "contract", soak: "0s" })).rejects.toMatchObject({
      code: "E_MIGRATIONS",
      message: "3_state (contract) comes after 1_orders, 2_status (expand), which is not applied",
    });
  });

  test("contract refuses before the soak time is over, with exit code 3 and the time left", async () => {
    await using project = await Project.create(cluster, expandAndContract);
    await perform(up, project.context(), { phase: "expand" });
    await expect(perform(up, project.context(), { phase: "contract" })).rejects.toMatchObject({
      code: "E_CONTRACT_TOO_EARLY",
      exitCode: 3,
      message: expect.stringMatching(/4_items has been in use for .* of a soak time of 30m 00s/),
      hint: expect.stringMatching(/^try again in (30m 00s|29m 5\ds), or let it wait with --wait/),
    });
    expect(await applied(project)).toEqual(["1", "2", "4"]);
  });

  test("contract waits for the soak time where it is told to, and Ctrl-C ends the wait", async () => {
    await using project = await Project.create(cluster, expandAndContract);
    await perform(up, project.context(), { phase: "expand" });
    const stopped = project.context();
    const waiting = perform(up, stopped, { phase: "contract", soak: "1h", wait: "2h" });
    setTimeout(() => stopped.requestStop(), 100);
    await expect(waiting).rejects.toMatchObject({ code: "E_INTERRUPTED" });

    await perform(up, project.context(), { phase: "contract", soak: "1500ms", wait: "30s" });

    expect(
      await project.query(
        "SELECT (max(applied_at) - min(applied_at) >= '1500ms') AS soaked FROM ops.migration WHERE version IN ('3', '4')",
      ),
    ).toEqual([{ soaked: true }]);
  });

  test("a reason overrides, and the output tells what", async () => {
    await using project = await Project.create(cluster, expandAndContract);
    await perform(up, project.context(), { phase: "expand" });
    const { output, report } = await perform(up, project.context(), {
      phase: "contract",
      reason: "nobody is there yet",
    });
    expect(output).toMatchObject({ overridden: [expect.stringContaining("soak time of 30m 00s")] });
    expect(report.lines[0]).toContain("because: nobody is there yet");
  });

  test.each([{ soak: "1m" }, { phase: "expand", reason: "x" }, { phase: "contract", route: "web" }])(
    "conditions that nobody would look at are refused: %j",
    async (input) => {
      await using project = await Project.create(cluster, {});
      await expect(perform(up, project.context(), input)).rejects.toMatchObject({ code: "E_INPUT" });
    },
  );

  test("headers are read in capitals and below a licence, and one that would be overlooked is refused", async () => {
    await using project = await Project.create(cluster, {
      "1_a.up.sql": `/* licence
*/
-- OPS: phase=contract
CREATE FUNCTION f() RETURNS int LANGUAGE plpgsql AS $$ BEGIN
-- ops: transaction=none
RETURN 1; END $$;`,
      "2_b.up.sql": "-- ops phase=contract\nSELECT 1;",
    });
    await expect(perform(up, project.context(), { phase: "expand" })).rejects.toMatchObject({
      code: "E_MIGRATIONS",
      message: expect.stringMatching(/^2_b\.up\.sql:1:1: looks like a setting[\s\S]*\^/),
    });
    await project.write({ "2_b.up.sql": "-- ops: phase=expand\nSELECT 1;" });

    await perform(up, project.context(), { phase: "expand" });

    expect(await applied(project)).toEqual(["2"]);
  });
});
