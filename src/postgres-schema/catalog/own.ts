/**
 * What a person made: objects below 16384 come with the server, members of an extension come with the extension.
 *
 * @param alias the row of `catalog` in the surrounding query; it has a column `oid`
 */
export function own(catalog: string, alias: string): string {
  return `${alias}.oid >= 16384 AND ${notOfExtension(catalog, alias)}`;
}

export function notOfExtension(catalog: string, alias: string): string {
  return `NOT EXISTS (SELECT FROM pg_depend WHERE classid = '${catalog}'::regclass AND objid = ${alias}.oid AND deptype = 'e')`;
}

/** The same for what lives in a schema: neither ours (`ops`) nor a session's temporary one. */
export function ownInSchema(catalog: string, alias: string, namespaceColumn: string): string {
  return `${own(catalog, alias)} AND ${visibleSchema(`${alias}.${namespaceColumn}`)}`;
}

export function visibleSchema(namespace: string): string {
  return `${namespace} NOT IN (SELECT oid FROM pg_namespace WHERE nspname = 'ops' OR nspname ~ '^pg_(temp|toast)')`;
}

/** `name = value` pairs of an options array, in canonical order. */
export function sortedOptions(options: string): string {
  return `(SELECT string_agg(each, ', ' ORDER BY each COLLATE "C") FROM unnest(${options}) AS each)`;
}

/** Ends a definition in a clause, where there is something to say. */
export function clause(text: string): string {
  return `coalesce(' ' || ${text}, '')`;
}

/** ` OPTIONS (host 'example')` of an object that stands for foreign data. */
export function foreignOptions(options: string): string {
  return `coalesce(' OPTIONS (' || (SELECT string_agg(quote_ident(option_name) || ' ' || quote_literal(option_value), ', '
    ORDER BY option_name COLLATE "C") FROM pg_options_to_table(${options})) || ')', '')`;
}

/** Made by the server together with another object, as the functions of a range type are. */
export function internal(catalog: string, alias: string): string {
  return `EXISTS (SELECT FROM pg_depend WHERE classid = '${catalog}'::regclass AND objid = ${alias}.oid AND deptype = 'i')`;
}
