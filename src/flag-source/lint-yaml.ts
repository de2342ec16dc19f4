import { isMap, isScalar, LineCounter, type Node, parseDocument, Scalar, visit } from "yaml";
import type { Finding } from "./lint.ts";

/** What YAML 1.1 takes for true and false, and YAML 1.2 for text. */
const trueOrFalse = /^(?:y|yes|on|n|no|off)$/i;

/**
 * Words in a YAML text that flagd, which reads YAML 1.1, takes for true and false: one finding for each flag and shared rule.
 * Nothing of a text that is no YAML; whoever reads it says so.
 */
export function yamlFindings(text: string): Finding[] {
  const lines = new LineCounter();
  const document = parseDocument(text, { version: "1.2", lineCounter: lines });
  if (document.errors.length > 0) return [];
  return (["flags", "$evaluators"] as const).flatMap((part) => {
    const found = document.get(part);
    if (!isMap(found)) return [];
    return found.items.flatMap(({ key, value }): Finding[] => {
      const words = [key, value].flatMap((each) => plainWords(each as Node | null));
      const [first] = words;
      if (first === undefined) return [];
      const named = [...new Set(words.map((each) => each.source))].join(", ");
      return [
        {
          severity: "error",
          subject: part === "flags" ? "flag" : "segment",
          name: String(isScalar(key) ? key.value : key),
          rule: "yaml-plain-word",
          message: `has ${named} without quotes (line ${lines.linePos(first.offset).line}), which flagd reads as true or false`,
          hint: `write "${first.source}" in quotes, as a name of a variant too`,
        },
      ];
    });
  });
}

function plainWords(node: Node | null): { source: string; offset: number }[] {
  const words: { source: string; offset: number }[] = [];
  if (node === null) return words;
  visit(node, {
    Scalar: (_, each) => {
      const { type, source = "", range } = each;
      if (type === Scalar.PLAIN && trueOrFalse.test(source) && range)
        words.push({ source, offset: range[0] });
    },
  });
  return words;
}
