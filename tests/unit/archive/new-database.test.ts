import { expect, it } from "vitest";
import { createStatement } from "../../../src/archive/new-database.ts";
import { type DatabaseRow, localeOf } from "../../../src/archive/source.ts";

const icu: DatabaseRow = { datcollate: "C", datctype: "C", datlocprovider: "i", daticulocale: "de" };
const source = (row: DatabaseRow) => ({
  database: "main",
  serverVersion: "16.4",
  encoding: "UTF8",
  ...localeOf(row),
});

it("a database is made with the ICU rules of the one that was dumped, where that has any", () => {
  const ruled = source({ ...icu, daticurules: "&V << w <<< 'W'" });

  expect(createStatement("copy", ruled, 160_004)).toBe(
    `CREATE DATABASE "copy" TEMPLATE template0 ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C' ` +
      `LOCALE_PROVIDER icu ICU_LOCALE 'de' ICU_RULES '&V << w <<< ''W'''`,
  );
  for (const row of [icu, { ...icu, daticurules: null }]) {
    expect(source(row)).not.toHaveProperty("icuRules");
    expect(createStatement("copy", source(row), 160_004)).toMatch(/ICU_LOCALE 'de'$/);
  }
});
