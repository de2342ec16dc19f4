import { internal, own, ownInSchema } from "./own.ts";

const operand = (column: string) => `CASE ${column} WHEN 0 THEN 'NONE' ELSE format_type(${column}, NULL) END`;

export const operators = `
  SELECT 'operator' AS kind, x.oid::regoperator::text AS identity,
         format('CREATE OPERATOR %I.%s (FUNCTION = %s, LEFTARG = %s, RIGHTARG = %s', nspname, oprname, oprcode,
                ${operand("oprleft")}, ${operand("oprright")})
         || CASE oprcom WHEN 0 THEN '' ELSE ', COMMUTATOR = ' || oprcom::regoperator END
         || CASE oprnegate WHEN 0 THEN '' ELSE ', NEGATOR = ' || oprnegate::regoperator END
         || CASE oprrest::oid WHEN 0 THEN '' ELSE ', RESTRICT = ' || oprrest END
         || CASE oprjoin::oid WHEN 0 THEN '' ELSE ', JOIN = ' || oprjoin END
         || CASE WHEN oprcanmerge THEN ', MERGES' ELSE '' END || CASE WHEN oprcanhash THEN ', HASHES' ELSE '' END || ');' AS definition
    FROM pg_operator AS x JOIN pg_namespace AS n ON n.oid = oprnamespace
   WHERE ${ownInSchema("pg_operator", "x", "oprnamespace")}`;

/** A family with the operators and functions in it, those of its classes as well. */
export const operatorFamilies = `
  SELECT 'operator family' AS kind, format('%I.%I USING %I', nspname, opfname, amname) AS identity,
         format('CREATE OPERATOR FAMILY %I.%I USING %I;', nspname, opfname, amname)
         || coalesce((SELECT string_agg(format(E'\\nOPERATOR %s %s%s', amopstrategy, amopopr::regoperator,
                       CASE amopsortfamily WHEN 0 THEN '' ELSE ' FOR ORDER BY' END), '' ORDER BY amopstrategy, amopopr::regoperator::text)
                        FROM pg_amop WHERE amopfamily = x.oid), '')
         || coalesce((SELECT string_agg(format(E'\\nFUNCTION %s %s', amprocnum, amproc::regprocedure), '' ORDER BY amprocnum, amproc::regprocedure::text)
                        FROM pg_amproc WHERE amprocfamily = x.oid), '') AS definition
    FROM pg_opfamily AS x JOIN pg_namespace AS n ON n.oid = opfnamespace JOIN pg_am AS m ON m.oid = opfmethod
   WHERE ${ownInSchema("pg_opfamily", "x", "opfnamespace")}`;

export const operatorClasses = `
  SELECT 'operator class' AS kind, format('%I.%I USING %I', n.nspname, opcname, amname) AS identity,
         format('CREATE OPERATOR CLASS %I.%I%s FOR TYPE %s USING %I FAMILY %I.%I%s;', n.nspname, opcname,
                CASE WHEN opcdefault THEN ' DEFAULT' ELSE '' END, format_type(opcintype, NULL), amname, fn.nspname, opfname,
                CASE opckeytype WHEN 0 THEN '' ELSE ' STORAGE ' || format_type(opckeytype, NULL) END) AS definition
    FROM pg_opclass AS x JOIN pg_namespace AS n ON n.oid = opcnamespace JOIN pg_am AS m ON m.oid = opcmethod
    JOIN pg_opfamily AS f ON f.oid = opcfamily JOIN pg_namespace AS fn ON fn.oid = opfnamespace
   WHERE ${ownInSchema("pg_opclass", "x", "opcnamespace")}`;

export const casts = `
  SELECT 'cast' AS kind, format('(%s AS %s)', format_type(castsource, NULL), format_type(casttarget, NULL)) AS identity,
         format('CREATE CAST (%s AS %s) ', format_type(castsource, NULL), format_type(casttarget, NULL))
         || CASE castmethod WHEN 'f' THEN 'WITH FUNCTION ' || castfunc::regprocedure WHEN 'i' THEN 'WITH INOUT' ELSE 'WITHOUT FUNCTION' END
         || CASE castcontext WHEN 'a' THEN ' AS ASSIGNMENT' WHEN 'i' THEN ' AS IMPLICIT' ELSE '' END || ';' AS definition
    FROM pg_cast AS x WHERE ${own("pg_cast", "x")} AND NOT ${internal("pg_cast", "x")}`;

export const transforms = `
  SELECT 'transform' AS kind, format('FOR %s LANGUAGE %I', format_type(trftype, NULL), lanname) AS identity,
         format('CREATE TRANSFORM FOR %s LANGUAGE %I (FROM SQL WITH FUNCTION %s, TO SQL WITH FUNCTION %s);',
                format_type(trftype, NULL), lanname, trffromsql, trftosql) AS definition
    FROM pg_transform AS x JOIN pg_language AS l ON l.oid = trflang WHERE ${own("pg_transform", "x")}`;

export const conversions = `
  SELECT 'conversion' AS kind, format('%I.%I', nspname, conname) AS identity,
         format('CREATE %sCONVERSION %I.%I FOR %L TO %L FROM %s;', CASE WHEN condefault THEN 'DEFAULT ' ELSE '' END, nspname, conname,
                pg_encoding_to_char(conforencoding), pg_encoding_to_char(contoencoding), conproc) AS definition
    FROM pg_conversion AS x JOIN pg_namespace AS n ON n.oid = connamespace
   WHERE ${ownInSchema("pg_conversion", "x", "connamespace")}`;

export const accessMethods = `
  SELECT 'access method' AS kind, quote_ident(amname) AS identity,
         format('CREATE ACCESS METHOD %I TYPE %s HANDLER %s;', amname, CASE amtype WHEN 'i' THEN 'INDEX' ELSE 'TABLE' END, amhandler) AS definition
    FROM pg_am AS x WHERE ${own("pg_am", "x")}`;
