import { describe, expect, it } from "vitest";
import { DiagnosticsError, formatDiagnostic } from "../../../src/core/diagnostic.ts";

const at = (file: string, line: number, column: number, message = "wrong") => ({
  file,
  position: { line, column },
  message,
});

describe("a diagnostic", () => {
  it("has its place, the line with a caret under the place, and the way out", () => {
    const text = formatDiagnostic({
      ...at("deploy.yaml", 7, 5, 'unknown key "use"'),
      hint: 'did you mean "uses"?',
      sourceLine: "    use: backup.create",
    });

    expect(text.split("\n")).toEqual([
      'deploy.yaml:7:5: unknown key "use"',
      "  7 |     use: backup.create",
      "    |     ^",
      '    = did you mean "uses"?',
    ]);
  });

  it("keeps its gutter straight for long line numbers", () => {
    const lines = formatDiagnostic({ ...at("a", 1234, 1), hint: "h", sourceLine: "x" }).split("\n");

    expect(new Set(lines.slice(1).map((line) => line.search(/[|=]/)))).toEqual(new Set([7]));
  });

  it.each([
    ["a tab stays a tab", "\tuses: x", 8, "    | \t      ^"],
    ["an emoji takes two columns", "🚀 x", 4, "    |    ^"],
    ["so does an ideograph", "名前: x", 5, "    |       ^"],
    ["an accent of its own takes none", "cafe\u0301: x", 8, "    |       ^"],
  ])("has its caret under the right character: %s", (_, sourceLine, column, expected) => {
    expect(formatDiagnostic({ ...at("a", 1, column), sourceLine }).split("\n")[2]).toBe(expected);
  });

  it("has its caret under the right character after a masked secret", () => {
    const sourceLine = 'url: "http://a:verylongpassword@b", bad: 1';

    const [, shown, caret] = formatDiagnostic({
      ...at("a", 1, sourceLine.indexOf("bad") + 1),
      sourceLine,
    }).split("\n");

    expect(shown).not.toContain("verylongpassword");
    expect(caret?.indexOf("^")).toBe(shown?.indexOf("bad"));
  });
});

describe("several diagnostics", () => {
  it("are sorted by file and place, each once, and end in exit code 2", () => {
    const error = new DiagnosticsError("E_RUNBOOK", [
      at("b.yaml", 1, 1),
      at("a.yaml", 10, 1),
      at("a.yaml", 2, 9),
      at("a.yaml", 2, 3),
      at("a.yaml", 2, 9),
    ]);

    const places = error.diagnostics.map(
      ({ file, position }) => `${file}:${position.line}:${position.column}`,
    );
    expect(places).toEqual(["a.yaml:2:3", "a.yaml:2:9", "a.yaml:10:1", "b.yaml:1:1"]);
    expect(error.exitCode).toBe(2);
    expect(error.details).toHaveLength(4);
  });
});
