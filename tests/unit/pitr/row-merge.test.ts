import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { differences, type KeyOrder } from "../../../src/pitr/row-merge.ts";
import { fieldsOf, type RowText } from "../../../src/pitr/row-text.ts";

async function* batches(rows: readonly string[], size = 3): AsyncGenerator<readonly RowText[]> {
  for (let at = 0; at < rows.length; at += size) {
    yield rows.slice(at, at + size).map((each) => Buffer.from(`${each}\n`));
  }
}

async function merged(then: readonly string[], now: readonly string[], orders: readonly KeyOrder[]) {
  const counts = { before: 0, after: 0 };
  const found: string[] = [];
  for await (const each of differences(batches(then), batches(now, 2), orders, counts)) {
    const row = each.kind === "added" ? each.after : each.before;
    found.push(`${each.kind} ${row.toString().trimEnd()}`);
  }
  return { counts, found };
}

/** As COPY writes a value. */
const copied = (value: string) =>
  value.replace(
    /[\\\b\f\n\r\t\v]/g,
    (letter) => `\\${{ "\b": "b", "\f": "f", "\n": "n", "\r": "r", "\t": "t", "\v": "v" }[letter] ?? letter}`,
  );

describe("a merge of two ordered streams", () => {
  it("tells removed, added and changed rows, and counts both sides", async () => {
    expect(await merged(["1\ta", "2\tb", "10\tc"], ["2\tb", "3\tx", "10\td"], ["integer"])).toEqual({
      counts: { before: 3, after: 3 },
      found: ["removed 1\ta", "added 3\tx", "changed 10\tc"],
    });
  });

  it("compares large integers exactly, several columns in turn, and NULL as the last", async () => {
    const big = "9007199254740993";
    expect(
      (await merged([`${big}\tz\t1`], [`9007199254740992\tz\t1`], ["integer", "bytes"])).found,
    ).toHaveLength(2);
    expect(
      (await merged(["1\ta", "1\t\\N"], ["1\ta", "1\tb", "1\t\\N"], ["integer", "bytes"])).found,
    ).toEqual(["added 1\tb"]);
  });

  it("refuses keys that are not unique", async () => {
    await expect(merged(["1\ta", "1\tb"], [], ["integer"])).rejects.toMatchObject({
      code: "E_INPUT",
      exitCode: 2,
    });
  });

  it("finds what sets find, for any texts in the order of their bytes", async () => {
    const text = fc.string({ unit: "binary", maxLength: 4 }).filter((each) => !each.includes("\0"));
    const side = fc.dictionary(text, fc.constantFrom("x", "y"));
    const rowsOf = (values: Record<string, string>) =>
      Object.entries(values)
        .sort(([a], [b]) => Buffer.compare(Buffer.from(a), Buffer.from(b)))
        .map(([key, value]) => `${copied(key)}\t${copied(key)}\t${value}`);
    await fc.assert(
      fc.asyncProperty(side, side, async (then, now) => {
        const expected = [
          ...Object.keys(then).filter((key) => then[key] !== now[key]),
          ...Object.keys(now).filter((key) => !(key in then)),
        ];
        expect((await merged(rowsOf(then), rowsOf(now), ["bytes"])).found).toHaveLength(expected.length);
      }),
    );
  });
});

describe("a row of COPY's text format", () => {
  it("is read back as it was written", () => {
    fc.assert(
      fc.property(fc.array(fc.string({ unit: "binary" }), { minLength: 1, maxLength: 5 }), (values) => {
        const row = Buffer.from(`${values.map(copied).join("\t")}\n`);
        expect(fieldsOf(row)).toEqual(values);
      }),
    );
    expect(fieldsOf(Buffer.from("\\N\t\\\\N\t\n"))).toEqual([null, "\\N", ""]);
  });
});
