import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { checks } from "../../../src/migrate/checks.ts";
import type { Cluster } from "../../../src/postgres/cluster.ts";
import type { CheckResult } from "../../../src/run/measure-check.ts";
import { measureGate } from "../../../src/run/measure-gate.ts";
import { perform, testContext } from "../../support/context.ts";
import { startTestCluster } from "../../support/postgres.ts";
import { operation, Project, shop, up } from "./project.ts";

let cluster: Cluster;
beforeAll(async () => {
  cluster = await startTestCluster();
});
afterAll(() => cluster?.stop());

/** A gate of these checks at once. */
async function measured(project: Project, ...asked: object[]): Promise<CheckResult[]> {
  const configured = asked.map((each, index) => ({ id: `c${index}`, kind: "migrations", with: each }));
  const context = testContext(
    {
      databases: { main: { url: project.url, migrations: project.folder } },
      gates: { g: { checks: configured } },
    },
    { checks, directory: project.folder },
  );
  return (await measureGate(context, "g", 30_000)).checks;
}

const stated = (project: Project) => ({ ...project.context(), stateDirectory: join(project.folder, ".ops") });

test("pending, tested and drifted are three facts, of which a gate asks for some", async () => {
  await using project = await Project.create(cluster, shop);
  await perform(up, project.context(), { to: "0002" });
  const [none, contract, untested, both] = await measured(
    project,
    { "none-pending": true },
    { "none-pending": true, phase: "contract" },
    { tested: true },
    { "none-pending": true, "no-drift": true },
  );

  expect(none).toMatchObject({ status: "fail", reason: "1 pending: 0003_items", value: 1 });
  expect(contract).toMatchObject({ status: "pass", reason: "1 pending: 0003_items" });
  expect(untested).toMatchObject({
    status: "fail",
    reason: "never tested: 0003_items; run: ops migrate test",
  });
  expect(both).toMatchObject({ status: "fail", reason: "1 pending: 0003_items" });
  expect(both?.evidence).toMatchObject({ version: "0002", pending: ["0003_items"], differences: [] });

  await perform(operation("migrate.test"), stated(project), {});
  const [tested] = await measured(project, { tested: true });
  expect(tested).toMatchObject({
    status: "pass",
    reason: expect.stringMatching(/^1 pending: 0003_items; tested \S+ ago$/),
    evidence: { report: expect.any(String) },
  });

  await perform(up, project.context(), {});
  await project.query("ALTER TABLE orders ADD COLUMN hot text; CREATE TABLE extra (id int)");
  const [applied, drifted] = await measured(
    project,
    { "none-pending": true, tested: true },
    { "no-drift": true, ignore: ["public.extra*"] },
  );
  expect(applied).toMatchObject({ status: "pass", reason: "nothing is pending" });
  expect(drifted).toMatchObject({
    status: "fail",
    reason: "the schema has drifted in 1 object: column public.orders.hot is unexpected",
    evidence: { differences: [{ state: "unexpected", kind: "column", identity: "public.orders.hot" }] },
  });
});

test("an applied file that was changed fails, a check that asks for nothing is refused", async () => {
  await using project = await Project.create(cluster, shop);
  await perform(up, project.context(), {});
  await project.write({ "0003_items.up.sql": "CREATE TABLE items (id bigint);" });
  const [edited] = await measured(project, { tested: true });

  expect(edited).toMatchObject({
    status: "fail",
    reason: expect.stringContaining("0003_items.up.sql"),
  });
  await expect(measured(project, {})).rejects.toMatchObject({
    code: "E_GATE_INVALID",
    message: expect.stringContaining("asks for nothing"),
  });
});
