/**
 * Patterns of names as pg_dump's options take them: `orders`, `public.*`, `"Odd Name"`, `shop."Küche"`. Letters outside
 * of quotes are folded to lower case; `*` and `?` outside of quotes stand for other characters.
 */
export interface QualifiedName {
  readonly schema: string;
  readonly name: string;
}

export type NameTest = (name: QualifiedName) => boolean;

/** A table and the like; without a schema it may be in any. */
export function tablePattern(pattern: string): NameTest {
  const parts = patternParts(pattern).map(toExpression);
  const name = parts.at(-1);
  const schema = parts.at(-2);
  return (each) => name?.test(each.name) === true && (schema === undefined || schema.test(each.schema));
}

export function schemaPattern(pattern: string): (schema: string) => boolean {
  const [expression] = patternParts(pattern).map(toExpression);
  return (schema) => expression?.test(schema) === true;
}

interface Piece {
  readonly text: string;
  readonly quoted: boolean;
}

/** Split at the dots that are not in quotes. */
function patternParts(pattern: string): Piece[][] {
  const parts: Piece[][] = [[]];
  for (const [piece] of pattern.matchAll(/"(?:[^"]|"")*"|\.|[^".]+|"/g)) {
    if (piece === ".") parts.push([]);
    else if (piece.startsWith('"') && piece.length > 1) {
      parts.at(-1)?.push({ text: piece.slice(1, -1).replaceAll('""', '"'), quoted: true });
    } else parts.at(-1)?.push({ text: piece.toLowerCase(), quoted: false });
  }
  return parts;
}

function toExpression(pieces: readonly Piece[]): RegExp {
  const source = pieces.map(({ text, quoted }) => {
    const literal = text.replaceAll(/[\\^$.*+?()[\]{}|]/g, "\\$&");
    return quoted ? literal : literal.replaceAll("\\*", ".*").replaceAll("\\?", ".");
  });
  return new RegExp(`^(?:${source.join("")})$`, "su");
}
