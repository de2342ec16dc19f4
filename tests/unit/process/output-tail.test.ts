import fc from "fast-check";
import { expect, test } from "vitest";
import { OutputTail } from "../../../src/process/output-tail.ts";

test("however a text is cut into chunks, its lines and its end are the same", () => {
  fc.assert(
    fc.property(fc.array(fc.string({ unit: "grapheme" })), fc.integer({ min: 1, max: 7 }), (words, size) => {
      const text = words.map((each) => each.replaceAll("\r", "")).join("\n");
      const bytes = Buffer.from(text);
      const lines: string[] = [];
      const tail = new OutputTail(1_000_000, (line) => lines.push(line));

      for (let start = 0; start < bytes.length; start += size) {
        tail.write(bytes.subarray(start, start + size));
      }

      expect(tail.finish()).toBe(bytes.toString().replace(/\n$/, ""));
      expect(lines).toEqual(bytes.toString() === "" ? [] : bytes.toString().replace(/\n$/, "").split("\n"));
    }),
  );
});

test("only the end of a long output is kept", () => {
  const tail = new OutputTail(10);

  for (let index = 0; index < 1000; index += 1) tail.write(Buffer.from(`${index}\n`));

  expect(tail.finish()).toBe("997\n998\n999");
});

test("a line break that is cut in two is one", () => {
  const lines: string[] = [];
  const tail = new OutputTail(100, (line) => lines.push(line));

  for (const chunk of ["a\r", "\nb"]) tail.write(Buffer.from(chunk));
  tail.finish();

  expect(lines).toEqual(["a", "b"]);
});
