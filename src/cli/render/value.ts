/** An output without a rendering of its own, for a person: `key: value` lines, nested ones indented. */
export function renderValue(value: unknown, indent = ""): string {
  if (value === null || value === undefined) return `${indent}nothing`;
  if (typeof value !== "object") return `${indent}${String(value)}`;
  if (Array.isArray(value)) {
    return value.length === 0 ? `${indent}none` : value.map((each) => renderItem(each, indent)).join("\n");
  }
  return Object.entries(value)
    .filter(([, each]) => each !== undefined)
    .map(([key, each]) =>
      typeof each === "object" && each !== null
        ? `${indent}${key}:\n${renderValue(each, `${indent}  `)}`
        : `${indent}${key}: ${String(each)}`,
    )
    .join("\n");
}

function renderItem(value: unknown, indent: string): string {
  if (typeof value !== "object" || value === null) return `${indent}- ${String(value)}`;
  return `${indent}- ${renderValue(value, `${indent}  `).trimStart()}`;
}
