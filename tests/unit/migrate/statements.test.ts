import { expect, test } from "vitest";
import { statements } from "../../../src/migrate/statements.ts";

test("statements begin at their first word or sign, comments and empty ones left out", () => {
  const sql = ";; -- one;\nSELECT 1;; /* two; */ (SELECT 'a;b') UNION SELECT 2;\n$$;$$; -- end";
  expect(statements(sql).map((each) => sql.slice(each.index, each.index + 7))).toEqual([
    "SELECT ",
    "(SELECT",
    "$$;$$; ",
  ]);
});
