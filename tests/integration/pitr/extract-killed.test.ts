import { afterAll, beforeAll, expect, it } from "vitest";
import { KilledExtracts } from "./extract-killed.ts";

let killed: KilledExtracts;
beforeAll(async () => {
  killed = await KilledExtracts.start();
}, 120_000);
afterAll(() => killed.setting.stop());

it.each([
  [{ into: "orders_restored" }, "orders_restored"],
  [{ into: "orders", missing: true }, "orders"],
])(
  "an extract %j that is killed around its COMMIT is done once",
  async (input, table) => {
    const commit = await killed.statements(input);
    expect(commit).toBeGreaterThan(20);
    for (const when of ["before", "sent", "after"]) {
      await killed.killedAt(input, commit, when, async () => {
        expect(await killed.setting.wal.query(`SELECT count(*)::int FROM ${table}`)).toEqual([
          { count: 400 },
        ]);
        expect(await killed.setting.wal.query(`TABLE truth EXCEPT TABLE ${table}`)).toEqual([]);
      });
    }
  },
  240_000,
);
