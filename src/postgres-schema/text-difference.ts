const context = 3;

/** Line by line, as `diff -u` shows it: ` ` stays, `-` is in `before` alone, `+` in `after` alone. Far from a change: `…`. */
export function textDifference(before: string, after: string): string[] {
  const left = before.split("\n");
  const right = after.split("\n");
  const common = commonLengths(left, right);
  const lines: string[] = [];
  let [i, j] = [0, 0];
  while (i < left.length || j < right.length) {
    if (i < left.length && j < right.length && left[i] === right[j]) {
      lines.push(`  ${left[i]}`);
      i += 1;
      j += 1;
    } else if (
      i < left.length &&
      (j === right.length || lengthAt(common, i + 1, j) >= lengthAt(common, i, j + 1))
    ) {
      lines.push(`- ${left[i]}`);
      i += 1;
    } else {
      lines.push(`+ ${right[j]}`);
      j += 1;
    }
  }
  return nearChanges(lines);
}

/** Of each pair of ends: how many lines they have in common, in order. */
function commonLengths(left: readonly string[], right: readonly string[]): Uint32Array[] {
  const table = Array.from({ length: left.length + 1 }, () => new Uint32Array(right.length + 1));
  for (let i = left.length - 1; i >= 0; i -= 1) {
    for (let j = right.length - 1; j >= 0; j -= 1) {
      const length =
        left[i] === right[j]
          ? lengthAt(table, i + 1, j + 1) + 1
          : Math.max(lengthAt(table, i + 1, j), lengthAt(table, i, j + 1));
      table[i]?.fill(length, j, j + 1);
    }
  }
  return table;
}

function lengthAt(table: readonly Uint32Array[], i: number, j: number): number {
  return table[i]?.[j] ?? 0;
}

function nearChanges(lines: readonly string[]): string[] {
  const near = lines.map((_, index) =>
    lines
      .slice(Math.max(0, index - context), index + context + 1)
      .some((each) => each.startsWith("+ ") || each.startsWith("- ")),
  );
  return lines.flatMap((line, index) => {
    if (near[index] === true) return [line];
    return index > 0 && near[index - 1] === true ? ["  …"] : [];
  });
}
