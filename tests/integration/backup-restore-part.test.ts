import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { perform, testContext } from "../support/context.ts";
import { BackupSetting, operation } from "./backup-setting.ts";
import { everythingRoles, everythingSchema } from "./everything-schema.ts";

const create = operation("backup.create");
const restore = operation("backup.restore");

let setting: BackupSetting;
let prepared: Awaited<ReturnType<BackupSetting["prepare"]>>;
beforeAll(async () => {
  setting = await BackupSetting.start();
  await setting.query("postgres", everythingRoles);
  prepared = await setting.prepare(everythingSchema, "every thing");
  await perform(create, testContext(prepared.settings), { jobs: 2, "split-from": "1B" });
});
afterAll(() => setting.stop());

async function relations(database: string): Promise<string[]> {
  const rows = await setting.query<{ name: string }>(
    database,
    `SELECT relkind::text || ' ' || nspname || '.' || relname AS name FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
      WHERE relkind IN ('r', 'p', 'v', 'm', 'S', 'f') AND nspname !~ '^pg_' AND nspname <> 'information_schema' ORDER BY 1`,
  );
  return rows.map((each) => each.name);
}

async function part(into: string, input: object) {
  const done = await perform(restore, testContext(prepared.settings), { into, check: "rows", ...input });
  const notes = restore.notes?.(done.before, restore.input.parse({ into, ...input })) ?? [];
  return { ...done, notes };
}

describe("backup.restore of a part", () => {
  it("brings a table with its rows, indexes, triggers, sequence, comments and grants, and nothing else", async () => {
    await part("orders only", { tables: ["orders"] });

    expect(await relations("orders only")).toEqual(["S public.orders_id_seq", "r public.orders"]);
    const dump = setting.dumpOf("orders only", "public.orders");
    expect(dump).toBe(
      setting.dumpOf(prepared.database, "public.orders").replace(/\nALTER PUBLICATION [^;]*;/, ""),
    );
    const next = await setting.query("orders only", "SELECT nextval('orders_id_seq')::int AS next");
    expect(next).toEqual([{ next: 3001 }]);
  });

  it("says which foreign keys stay away, and brings them where both tables come", async () => {
    const alone = await part("items only", { tables: ["public.items"] });
    const both = await part("both", { tables: ["public.items", "orders"], jobs: 2 });

    const keys = "SELECT count(*)::int AS n FROM pg_constraint WHERE contype = 'f'";
    expect(await setting.query("items only", keys)).toEqual([{ n: 0 }]);
    expect(alone.notes.join("\n")).toContain("items_order_id_fkey");
    expect(await setting.query("both", keys)).toEqual([{ n: 1 }]);
    expect(both.notes.join("\n")).not.toContain("left out");
  });

  it("brings the partitions of a partitioned table, and what a view reads without rows", async () => {
    await part("partitions", { tables: ["measurement"] });
    const view = await part("view", { tables: ["recent"] });

    expect(await relations("partitions")).toEqual([
      "p public.measurement",
      "p public.measurement_2026",
      "r public.measurement_2025",
      "r public.measurement_2026_0",
      "r public.measurement_2026_1",
    ]);
    const count = "SELECT count(*)::int AS n FROM measurement";
    expect(await setting.query("partitions", count)).toEqual(await setting.query(prepared.database, count));
    expect(await relations("view")).toEqual(["p public.measurement", "v public.recent"]);
    expect(view.notes.join("\n")).toContain("needed by those, without rows: public.measurement");
    expect(await setting.query("view", count)).toEqual([{ n: 0 }]);
  });

  it("brings a whole schema by its exact, quoted name", async () => {
    await part("schema", { schemas: ['"Größe; --"'] });

    expect(await relations("schema")).toEqual(['S Größe; --.Küche "a"_id_seq', 'r Größe; --.Küche "a"']);
    const next = await setting.query(
      "schema",
      `SELECT nextval('"Größe; --"."Küche ""a""_id_seq"')::int AS next`,
    );
    expect(next).toEqual([{ next: 7778 }]);
  });

  it("names what is near where a pattern matches nothing, before anything is made", async () => {
    await expect(part("none", { tables: ["ordes"] })).rejects.toMatchObject({
      code: "E_TABLE_UNKNOWN",
      exitCode: 2,
      hint: 'did you mean "orders"?',
    });
    await expect(part("none", { schemas: ["publik"] })).rejects.toMatchObject({
      hint: 'did you mean "public"?',
    });
    expect(await setting.databases()).not.toContain("none");
  });
});
