import { internal, own, ownInSchema } from "./own.ts";

/** Bodies written in SQL's own syntax, and everything set beside them, as pg_get_functiondef prints them. */
export const routines = `
  SELECT CASE p.prokind WHEN 'p' THEN 'procedure' ELSE 'function' END AS kind, p.oid::regprocedure::text AS identity,
         rtrim(pg_get_functiondef(p.oid), E'\\n') || ';' AS definition
    FROM pg_proc AS p
   WHERE p.prokind <> 'a' AND ${ownInSchema("pg_proc", "p", "pronamespace")}
     AND NOT ${internal("pg_proc", "p")}`;

const part = (keyword: string, column: string) =>
  `CASE ${column}::oid WHEN 0 THEN '' ELSE ', ${keyword} = ' || ${column} END`;

export const aggregates = `
  SELECT 'aggregate' AS kind, p.oid::regprocedure::text AS identity,
         format('CREATE AGGREGATE %I.%I(%s) (SFUNC = %s, STYPE = %s', n.nspname, p.proname, pg_get_function_arguments(p.oid),
                aggtransfn, format_type(aggtranstype, NULL))
         || CASE aggkind WHEN 'n' THEN '' WHEN 'o' THEN ', ordered set' ELSE ', HYPOTHETICAL' END
         || CASE aggtransspace WHEN 0 THEN '' ELSE ', SSPACE = ' || aggtransspace END
         || ${part("FINALFUNC", "aggfinalfn")} || CASE WHEN aggfinalextra THEN ', FINALFUNC_EXTRA' ELSE '' END
         || ', FINALFUNC_MODIFY = ' || aggfinalmodify::text
         || ${part("COMBINEFUNC", "aggcombinefn")} || ${part("SERIALFUNC", "aggserialfn")} || ${part("DESERIALFUNC", "aggdeserialfn")}
         || coalesce(', INITCOND = ' || quote_literal(agginitval), '')
         || ${part("MSFUNC", "aggmtransfn")} || ${part("MINVFUNC", "aggminvtransfn")} || ${part("MFINALFUNC", "aggmfinalfn")}
         || CASE aggmtranstype WHEN 0 THEN '' ELSE ', MSTYPE = ' || format_type(aggmtranstype, NULL) END
         || coalesce(', MINITCOND = ' || quote_literal(aggminitval), '')
         || CASE aggsortop WHEN 0 THEN '' ELSE ', SORTOP = ' || aggsortop::regoperator END
         || ', PARALLEL = ' || p.proparallel::text || ');' AS definition
    FROM pg_aggregate AS a
    JOIN pg_proc AS p ON p.oid = a.aggfnoid
    JOIN pg_namespace AS n ON n.oid = p.pronamespace
   WHERE ${ownInSchema("pg_proc", "p", "pronamespace")}`;

export const eventTriggers = `
  SELECT 'event trigger' AS kind, quote_ident(evtname) AS identity,
         'CREATE EVENT TRIGGER ' || quote_ident(evtname) || ' ON ' || evtevent
         || coalesce(' WHEN TAG IN (' || (SELECT string_agg(quote_literal(tag), ', ' ORDER BY tag) FROM unnest(evttags) AS tag) || ')', '')
         || ' EXECUTE FUNCTION ' || evtfoid::regproc || '();'
         || CASE evtenabled WHEN 'O' THEN '' ELSE E'\\nALTER EVENT TRIGGER ' || quote_ident(evtname)
              || CASE evtenabled WHEN 'D' THEN ' DISABLE;' WHEN 'R' THEN ' ENABLE REPLICA;' ELSE ' ENABLE ALWAYS;' END END AS definition
    FROM pg_event_trigger AS x WHERE ${own("pg_event_trigger", "x")}`;
