import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { compile, ExpressionError, type Scope } from "../../../src/runbook/expression.ts";
import {
  parseCondition,
  parseTemplate,
  referencesIn,
  render,
  renderAll,
} from "../../../src/runbook/template.ts";

const scope: Scope = {
  inputs: { version: "green", count: 3, ratio: 1.5, on: true, list: ["a", "b"], deep: { key: "x" } },
  steps: { canary: { status: "done", output: { verdict: "pass", errors: 0 } } },
  env: { REGION: "eu" },
  environment: "production",
  run: { id: "r1" },
};

const value = (source: string) => compile(source).evaluate(scope);

function mistake(source: string): ExpressionError {
  try {
    compile(source);
  } catch (error) {
    if (error instanceof ExpressionError) return error;
    throw error;
  }
  throw new Error("it compiled");
}

/** An expression in its brackets. */
const brackets = (source: string) => `\${{ ${source} }}`;

describe("an expression", () => {
  it.each([
    ["inputs.version", "green"],
    ["inputs.count + 1", 4],
    ["inputs.ratio * 2.0", 3],
    ["!inputs.on", false],
    ["inputs.list[1]", "b"],
    ["size(inputs.list)", 2],
    ['inputs["deep"].key', "x"],
    ["inputs.deep", { key: "x" }],
    ['steps.canary.output.verdict == "pass" && steps.canary.output.errors == 0', true],
    ['environment == "production" ? env.REGION : "local"', "eu"],
    ['"run-" + run.id', "run-r1"],
    ["has(inputs.missing)", false],
    ['inputs.list.map(each, each + "!")', ["a!", "b!"]],
  ])("%s is %j", (source, expected) => {
    expect(value(source)).toEqual(expected);
  });

  it.each([
    ["inputs.a = 1", 9, '"=" is not an operator', 'compare with "=="'],
    ["inputs.a +", 10, "the expression ends too early", undefined],
    ["(1", 2, "the expression ends too early", '")" is missing'],
    ['environment == "x', 15, "the text in quotes is never closed", "end it with the same quote"],
    ["input.version", 0, 'there is no variable "input"', 'did you mean "inputs"?'],
    ["environment == 1", 0, '"==" does not work between string and int', expect.stringContaining("quotes")],
    ["lower(environment)", 0, "there is no function lower(string)", expect.any(String)],
    [
      "true && environment",
      0,
      '"&&" and "||" need true or false on both sides, found string',
      expect.any(String),
    ],
  ])("%s is refused at %d: %s", (source, offset, message, hint) => {
    expect(mistake(source)).toMatchObject({ offset, message, hint });
  });

  it("over something that is not there fails when it is evaluated, at its place", () => {
    expect(() => value("inputs.missing")).toThrow(/no such key: missing/);
  });

  it("knows what it refers to and where the name stands", () => {
    const source = 'steps.canary.output.x == inputs["version"] && env.A == run.id';

    expect(compile(source).references).toEqual([
      { variable: "steps", key: "canary", offset: source.indexOf("canary") },
      { variable: "inputs", key: "version", offset: source.indexOf("version") },
      { variable: "env", key: "A", offset: source.indexOf("A") },
      { variable: "run", key: "id", offset: source.lastIndexOf("id") },
    ]);
  });

  it("gives back any data that goes into it", () => {
    const data = fc
      .jsonValue({ maxDepth: 3, noUnicodeString: false })
      .filter((each) => !JSON.stringify(each).includes("-0"));
    fc.assert(
      fc.property(data, (json) => {
        const given = JSON.parse(JSON.stringify(json));
        expect(compile("inputs.any").evaluate({ ...scope, inputs: { any: given } })).toEqual(given);
      }),
    );
  });
});

describe("a text with expressions", () => {
  it("of one expression keeps its type", () => {
    expect(render(parseTemplate(brackets("inputs.count")), scope)).toBe(3);
    expect(render(parseTemplate(brackets("inputs.list")), scope)).toEqual(["a", "b"]);
  });

  it("of more than that is text", () => {
    const text = `${brackets("inputs.version")}-${brackets("inputs.count")} ${brackets("inputs.list")}`;

    expect(render(parseTemplate(text), scope)).toBe('green-3 ["a","b"]');
  });

  it("without brackets is left as it is", () => {
    fc.assert(
      fc.property(
        fc.string().filter((text) => !text.includes("${{")),
        (text) => {
          expect(renderAll(text, scope)).toBe(text);
        },
      ),
    );
  });

  it("is found at any depth of a value", () => {
    const whole = { a: [brackets("inputs.count"), { b: `v${brackets("inputs.version")}` }], c: 1, d: null };

    expect(renderAll(whole, scope)).toEqual({ a: [3, { b: "vgreen" }], c: 1, d: null });
    expect(referencesIn(whole).map(({ key }) => key)).toEqual(["count", "version"]);
  });

  it.each([
    [`a ${"${{"} inputs.version`, 2, "the expression is never closed"],
    [`a ${brackets("")}`, 2, "the expression is empty"],
    [`a ${brackets("inputs.x =")}`, 15, '"=" is not an operator'],
  ])("%s is refused at %d", (text, offset, message) => {
    expect(() => parseTemplate(text)).toThrow(expect.objectContaining({ offset, message }));
  });
});

describe("a condition", () => {
  it.each(['inputs.version == "green"', brackets('inputs.version == "green"')])(
    "may be written %s",
    (text) => {
      expect(render(parseCondition(text), scope)).toBe(true);
    },
  );

  it("that is empty is refused", () => {
    expect(() => parseCondition(" ")).toThrow("the condition is empty");
  });
});
