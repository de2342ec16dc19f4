import { afterAll, beforeAll, expect, it } from "vitest";
import { KilledExtracts } from "./extract-killed.ts";

let killed: KilledExtracts;
beforeAll(async () => {
  killed = await KilledExtracts.start();
}, 120_000);
afterAll(() => killed.setting.stop());

/** About so many of the statements, spread evenly. */
const places = 6;

it.each([
  [{ into: "orders_restored", missing: true }, "orders_restored", 300],
  [{ into: "orders", missing: true }, "orders", 400],
])(
  "an extract %j that is killed at any statement is done once by the next attempt",
  async (input, table, count) => {
    const last = await killed.statements(input);
    for (let statement = 1; statement <= last; statement += Math.ceil(last / places)) {
      await killed.killedAt(input, statement, "sent", async () => {
        expect(await killed.setting.wal.query(`SELECT count(*)::int FROM ${table}`)).toEqual([{ count }]);
      });
    }
  },
  1_200_000,
);
