import { afterAll, beforeAll, expect, it } from "vitest";
import { perform } from "../../support/context.ts";
import { until } from "../wal/setting.ts";
import { type EngineSetting, engines } from "./engines.ts";
import { operation } from "./setting.ts";

let setting: EngineSetting;
beforeAll(async () => {
  setting = await engines.pgbackrest();
}, 180_000);
afterAll(() => setting?.stop());

it("rows come back from a moment of a minute ago out of pgBackRest's archive as well", async () => {
  await setting.query("CREATE TABLE orders AS SELECT n AS id FROM generate_series(1, 100) n");
  await setting.query("ALTER TABLE orders ADD PRIMARY KEY (id)");
  const { output } = await perform(operation("pitr.base.create"), setting.context(), {});
  const { restorableFrom } = output as { restorableFrom: string };
  await until(async () => Date.now() > Date.parse(restorableFrom) + 100, "a moment behind the base backup");
  const moment = new Date(Date.now() - 50).toISOString();
  await setting.query("DELETE FROM orders WHERE id > 40");

  const asked = { table: "orders", "to-time": moment };
  const found = await perform(operation("pitr.diff"), setting.context(), asked);
  expect(found.output).toMatchObject({ removed: 60, unchanged: 40 });
  const back = await perform(operation("pitr.extract"), setting.context(), {
    ...asked,
    into: "orders",
    missing: true,
  });
  expect(back.output).toMatchObject({ rows: 60 });
}, 240_000);
