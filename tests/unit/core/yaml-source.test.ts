import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { stringify } from "yaml";
import { DiagnosticsError } from "../../../src/core/diagnostic.ts";
import { YamlSource } from "../../../src/core/yaml-source.ts";

const source = (text: string) => new YamlSource("f.yaml", text, "E_TEST");

function places(text: string): string[] {
  try {
    source(text);
  } catch (error) {
    if (error instanceof DiagnosticsError)
      return error.diagnostics.map(
        ({ position, message }) => `${position.line}:${position.column} ${message}`,
      );
    throw error;
  }
  return [];
}

describe("a text that goes down further than anybody can follow", () => {
  it.each([
    ["brackets", `a: ${"[".repeat(600)}${"]".repeat(600)}`, "1:503"],
    ["brackets without end", `a: ${"[".repeat(100_000)}`, "1:503"],
    ["maps of one line", `${"{a: ".repeat(600)}1${"}".repeat(600)}`, "1:2001"],
    ["lists of one line", `${"- ".repeat(600)}x`, "1:1001"],
    ["lines", Array.from({ length: 600 }, (_, level) => `${" ".repeat(level)}a:`).join("\n"), "501:501"],
  ])("is refused at its place: %s", (_, text, place) => {
    expect(places(text)).toEqual([`${place} this is more than 500 levels deep`]);
  });

  it("is not one with many brackets in texts", () => {
    const text = `a: "${"[".repeat(2000)}"\n# ${"{".repeat(2000)}\nb: 1`;

    expect(source(text).value).toEqual({ a: "[".repeat(2000), b: 1 });
  });

  it("may go down 500 levels", () => {
    expect(places(`${"[".repeat(500)}${"]".repeat(500)}`)).toEqual([]);
  });
});

describe("the place of a value", () => {
  it("is where it begins, in lines and columns from 1", () => {
    const yaml = source("a: 1\nb:\n  - x\n  - { c: d }\n");

    expect(yaml.position(["b", 1, "c"])).toEqual({ line: 4, column: 10 });
    expect(yaml.keyPosition(["b", 1], "c")).toEqual({ line: 4, column: 7 });
  });

  it("counts UTF-16 units, as editors do", () => {
    expect(source("é: { 🚀: x, b: y }").position(["é", "b"])).toEqual({ line: 1, column: 16 });
  });

  it("is that of its nearest ancestor where it is missing", () => {
    expect(source("a:\n  b: 1\n").position(["a", "c", "d"])).toEqual({ line: 2, column: 3 });
  });

  it("is right with Windows line ends", () => {
    expect(source("a: 1\r\nb: 2\r\n").position(["b"])).toEqual({ line: 2, column: 4 });
  });
});

describe("the place of a character inside a text", () => {
  const word = "MARK";
  const column = (text: string) => {
    const yaml = source(text);
    const value = (yaml.value as { t: string }).t;
    return yaml.positionInText(["t"], value.indexOf(word));
  };

  it.each([
    ["plain", "t: one MARK", 1, 8],
    ["in quotes", 't: "one MARK"', 1, 9],
    ["in single quotes after a doubled one", "t: 'it''s MARK'", 1, 4],
    ["after an escaped quote", 't: "say \\"x\\" MARK"', 1, 15],
    ["folded", "t: >-\n  one\n  two MARK\n", 3, 7],
    ["literal", "t: |\n    one\n      MARK\n", 3, 7],
    ["plain over two lines", "t: one\n  two MARK\n", 2, 7],
  ])("%s", (_, text, line, expected) => {
    expect(column(text)).toEqual({ line, column: expected });
  });

  it("is found in every text that was written as YAML", () => {
    const words = fc.array(fc.stringMatching(/^[a-zé🚀]{1,12}$/u), { minLength: 1, maxLength: 30 });
    fc.assert(
      fc.property(words, words, (before, after) => {
        const text = stringify({ t: [...before, word, ...after].join(" ") });
        const { line, column: at } = column(text);
        expect(text.split("\n")[line - 1]?.slice(at - 1, at - 1 + word.length)).toBe(word);
      }),
    );
  });
});

describe("a mistake of syntax", () => {
  it.each([
    ["a:\n\tb: 1\n", "2:1 YAML cannot be indented with tabs"],
    ['a: "x\nb: 1\n', '1:4 the quote " is never closed'],
    ["a: [1, 2\nb: 3\n", '1:4 "[" is never closed'],
    ["a: 1\na: 2\n", '2:1 the key "a" is given twice'],
    ["a: *x\n", '1:4 there is no anchor "x" above'],
    ["a: 1\n---\nb: 1\n", "2:1 a second document begins here"],
    ["a: @x\n", '1:4 a text without quotes cannot begin with "@"'],
    [`a: { b: \${{ x }} }\n`, "1:9 an expression inside { } or [ ] needs quotes"],
    ["  a: 1\n b: 2\n", "2:2 this line is indented like nothing above it"],
  ])("%j", (text, expected) => {
    expect(places(text)).toEqual([expected]);
  });

  it("on two lines is reported twice", () => {
    expect(places("a: 1\na: 2\na: 3\n")).toHaveLength(2);
  });

  it("never ends in anything but diagnostics", () => {
    const yaml = fc.array(
      fc.constantFrom(
        "a",
        ":",
        " ",
        "\n",
        "- ",
        "{",
        "}",
        "[",
        "]",
        '"',
        "'",
        "|",
        ">",
        "*",
        "&",
        "#",
        "\t",
        "!",
        `\${{`,
        "---",
      ),
    );
    fc.assert(
      fc.property(yaml, (parts) => {
        for (const place of places(parts.join(""))) expect(place).toMatch(/^\d+:\d+ ./);
      }),
      { numRuns: 500 },
    );
  });
});
