const part = /"(?<quoted>(?:[^"]|"")+)"|(?<plain>[^".]+)/g;

/** The last part of a name, folded as PostgreSQL folds it. */
export function identifier(name: string): string {
  return partsOf(name).at(-1) ?? name.toLowerCase();
}

/** The part of a table's name before the last one: `app` of `app.users`. */
export function schemaOf(name: string): string | undefined {
  return partsOf(name).at(-2);
}

function partsOf(name: string): string[] {
  return [...name.matchAll(part)].map(
    ({ groups }) => groups?.quoted?.replaceAll('""', '"') ?? (groups?.plain ?? "").toLowerCase(),
  );
}
