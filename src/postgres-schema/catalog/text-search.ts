import { ownInSchema } from "./own.ts";

const textSearch = (what: string, catalog: string, prefix: string, body: string) => `
  SELECT 'text search ${what.toLowerCase()}' AS kind, format('%I.%I', n.nspname, ${prefix}name) AS identity,
         format('CREATE TEXT SEARCH ${what} %I.%I (', n.nspname, ${prefix}name) || ${body} AS definition
    FROM ${catalog} AS x JOIN pg_namespace AS n ON n.oid = ${prefix}namespace
   WHERE ${ownInSchema(catalog, "x", `${prefix}namespace`)}`;

const named = (catalog: string, prefix: string, oid: string) =>
  `(SELECT format('%I.%I', nspname, ${prefix}name) FROM ${catalog} AS i JOIN pg_namespace ON pg_namespace.oid = ${prefix}namespace WHERE i.oid = ${oid})`;

export const textSearchParsers = textSearch(
  "PARSER",
  "pg_ts_parser",
  "prs",
  "format('START = %s, GETTOKEN = %s, END = %s, LEXTYPES = %s, HEADLINE = %s);', prsstart, prstoken, prsend, prslextype, prsheadline)",
);

export const textSearchTemplates = textSearch(
  "TEMPLATE",
  "pg_ts_template",
  "tmpl",
  "format('INIT = %s, LEXIZE = %s);', tmplinit, tmpllexize)",
);

export const textSearchDictionaries = textSearch(
  "DICTIONARY",
  "pg_ts_dict",
  "dict",
  `'TEMPLATE = ' || ${named("pg_ts_template", "tmpl", "dicttemplate")} || coalesce(', ' || dictinitoption, '') || ');'`,
);

export const textSearchConfigurations = textSearch(
  "CONFIGURATION",
  "pg_ts_config",
  "cfg",
  `'PARSER = ' || ${named("pg_ts_parser", "prs", "cfgparser")} || ');'
   || coalesce((SELECT string_agg(E'\\nMAPPING FOR ' || alias || ' WITH ' || dictionaries, '' ORDER BY alias)
        FROM (SELECT token.alias, string_agg(mapdict::regdictionary::text, ', ' ORDER BY mapseqno) AS dictionaries
                FROM pg_ts_config_map AS m JOIN ts_token_type(x.cfgparser) AS token ON token.tokid = m.maptokentype
               WHERE mapcfg = x.oid GROUP BY token.alias) AS mapped), '')`,
);
