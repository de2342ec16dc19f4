import { type CST, Parser } from "yaml";

/** Levels of a text, at most. Whoever goes through it calls itself for each: some hundred more, and Node ends or crashes. */
export const deepestLevel = 500;

/** Where the first value stands that is too deep, counted in UTF-16 units; undefined where none is. Calls nothing for a level. */
export function tooDeepAt(text: string): number | undefined {
  if (depthAtMost(text) <= deepestLevel) return undefined;
  const waiting: { token: CST.Token; depth: number }[] = [];
  for (const document of new Parser().parse(text)) {
    if (document.type === "document" && document.value) waiting.push({ token: document.value, depth: 1 });
  }
  for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
    const { token, depth } = next;
    if (depth > deepestLevel) return token.offset;
    for (const { key, value } of "items" in token ? token.items : []) {
      if (key) waiting.push({ token: key, depth: depth + 1 });
      if (value) waiting.push({ token: value, depth: depth + 1 });
    }
  }
  return undefined;
}

/** Read in a moment. Too much where brackets stand in texts or comments, too little where only closing ones do. */
function depthAtMost(text: string): number {
  let [open, deepest, indent] = [0, 0, 0];
  for (const [found] of text.matchAll(/[[\]{}]|^[ \t?:-]+/gm)) {
    if (found === "[" || found === "{") open += 1;
    else if (found === "]" || found === "}") open = Math.max(0, open - 1);
    else indent = Math.max(indent, found.length);
    deepest = Math.max(deepest, open);
  }
  return deepest + indent;
}
