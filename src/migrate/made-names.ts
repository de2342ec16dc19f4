import type { SchemaObjectKind } from "../postgres-schema/schema-object.ts";
import type { SqlFile } from "./sql-file.ts";
import { isRecord, nodeOf, type Statement, splitStatements } from "./statements.ts";

/** What a file that runs again and again makes: not what holds rows. */
const replaceable: readonly SchemaObjectKind[] = [
  "view",
  "materialized view",
  "function",
  "procedure",
  "aggregate",
  "operator",
  "type",
  "index",
  "rule",
  "trigger",
  "policy",
  "owner",
  "grant",
  "comment",
];

/** Tells whether an object is one that the files make, as their statements name it. Throws `E_SQL_SYNTAX`. */
export async function madeBy(
  files: readonly SqlFile[],
): Promise<(object: { readonly kind: string; readonly identity: string }) => boolean> {
  const statements = await Promise.all(files.map(({ sql, name }) => splitStatements(sql, { file: name })));
  const names = statements.flat().flatMap(madeName);
  const words = names.map((each) => new RegExp(`(?<![\\w$])${RegExp.escape(each)}(?![\\w$])`));
  return ({ kind, identity }) =>
    replaceable.some((each) => each === kind) && words.some((each) => each.test(identity));
}

/** Without its schema. */
function madeName(statement: Statement): string[] {
  const node = nodeOf(statement);
  const into = isRecord(node.into) ? node.into : {};
  const relation = [node.view, into.rel, node.typevar].find(isRecord);
  const lists = [node.funcname, node.defnames, node.typeName, node.domainname];
  const last = lists.flatMap((each) => (Array.isArray(each) ? [each.at(-1)] : [])).find(isRecord);
  const named = [
    relation?.relname,
    isRecord(last?.String) ? last.String.sval : undefined,
    node.idxname,
    node.trigname,
    node.rulename,
    node.policy_name,
  ].filter((each) => typeof each === "string");
  return /^(?:View|Create|Index|Composite|Rule|Define)/.test(statement.kind) ? named : [];
}
