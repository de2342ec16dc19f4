import { expect, test } from "vitest";
import { editedText, readText } from "../../../src/flag-source/file-text.ts";
import { emptySet, withFlag } from "../../../src/flag-source/flag-set.ts";
import { yamlFindings } from "../../../src/flag-source/lint-yaml.ts";
import { booleanFlag } from "../../../src/flag-source/simple-flag.ts";

test("plain words that flagd takes for true or false are found, of each flag and shared rule, with their line", () => {
  const found = yamlFindings(`flags:
  checkout:
    variants: { on: true, 'off': false }
    defaultVariant: Off
  quiet: { variants: { "on": true, yesterday: 1 } }
  No: { metadata: { owner: shop } }
$evaluators:
  beta: { in: [{ var: y }, [yes, "no"]] }
`);

  expect(found.map(({ subject, name, message }) => `${subject} ${name} ${message}`)).toEqual([
    "flag checkout has on, Off without quotes (line 3), which flagd reads as true or false",
    "flag No has No without quotes (line 6), which flagd reads as true or false",
    "segment beta has y, yes without quotes (line 8), which flagd reads as true or false",
  ]);
  expect(new Set(found.map(({ severity, rule }) => `${severity} ${rule}`))).toEqual(
    new Set(["error yaml-plain-word"]),
  );
});

test("nothing is found in what ops writes", () => {
  const set = withFlag(emptySet, "checkout", booleanFlag(10, { owner: "off" }));

  expect(yamlFindings(editedText("flags.yaml", "yaml", "", emptySet, set))).toEqual([]);
});

test.each(["json", "yaml"] as const)("what no command could take is refused when %s is read", (form) => {
  const rule = (levels: number) => `${'{"!":['.repeat(levels)}true${"]}".repeat(levels)}`;
  const read = (levels: number, name: string) => {
    const flag = `{"state": "ENABLED", "variants": {"on": true}, "defaultVariant": "on", "targeting": ${rule(levels)}}`;
    return readText(`flags.${form}`, form, `{"flags": {"${name}": ${flag}}}`);
  };

  expect([...read(20, "deep").flags.keys()]).toEqual(["deep"]);
  expect(() => read(300, "deep")).toThrow("more than 500 levels deep");
  expect(() => read(form === "json" ? 20_000 : 400, "deep")).toThrow("more than 500 levels deep");
  expect(() => read(1, "__proto__")).toThrow("nothing can be called __proto__");
});
