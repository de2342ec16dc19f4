import { afterAll, beforeAll, expect, test } from "vitest";
import type { Cluster } from "../../../src/postgres/cluster.ts";
import { perform } from "../../support/context.ts";
import { startTestCluster } from "../../support/postgres.ts";
import { Project, up } from "./project.ts";

let cluster: Cluster;
beforeAll(async () => {
  cluster = await startTestCluster();
});
afterAll(() => cluster.stop());

test("goes on with what a SELECT set_config has set", async () => {
  const file =
    "-- ops: transaction=none\nSELECT set_config('search_path', 'side', false);\nSELECT 1 / 0;\nCREATE TABLE b (id int);";
  await using project = await Project.create(cluster, {
    "1_a.up.sql": "CREATE SCHEMA side;",
    "2_b.up.sql": file,
  });
  await perform(up, project.context(), {}).catch(() => undefined);
  await project.write({ "2_b.up.sql": file.replace("1 / 0", "1") });
  await perform(up, project.context(), {});
  expect(await project.query("SELECT to_regclass('side.b')::text AS b")).toEqual([{ b: "side.b" }]);
});
