import { formatDiagnostic } from "../../core/diagnostic.ts";
import { OpsError } from "../../core/errors.ts";
import type { BatchSettings } from "../header.ts";
import type { Problem } from "../problem.ts";
import type { SqlFile } from "../sql-file.ts";
import { placeOfIndex } from "../sql-position.ts";
import { isRecord, nodeOf, type Statement, splitStatements } from "../statements.ts";
import { listOf } from "./bounds.ts";
import { identifier } from "./identifier.ts";
import { boundMistakes } from "./key-bounds.ts";
import { findPlaceholders, type PlaceholderUse, parameterised, placeholders } from "./placeholders.ts";

/** The one statement of a file marked `-- ops: batch …`. */
export interface BatchStatement {
  readonly file: SqlFile;
  readonly settings: BatchSettings;
  readonly uses: readonly PlaceholderUse[];
}

const kinds: Readonly<Record<string, string>> = {
  UpdateStmt: "UPDATE",
  DeleteStmt: "DELETE",
  InsertStmt: "INSERT … SELECT",
};

/** Why the text of a batched file cannot be run in batches; empty where it can. Nothing for other files. */
export async function batchProblems(file: SqlFile): Promise<Problem[]> {
  const settings = file.settings.batch;
  if (settings === undefined) return [];
  const uses = await findPlaceholders(file.sql);
  let statements: readonly Statement[];
  try {
    statements = await splitStatements(parameterised(file.sql, uses), { file: file.name });
  } catch (error) {
    if (!(error instanceof OpsError)) throw error;
    return [{ kind: "syntax", message: error.message, hint: error.hint ?? `mend ${file.name}` }];
  }
  const [statement, another] = statements;
  if (statement === undefined || another !== undefined) {
    return [
      problem(file, {
        message: `holds ${statements.length} statements, and a batched file has exactly one`,
        hint: "put the others into files of their own",
      }),
    ];
  }
  return statementProblems(file, settings, statement, uses).map((mistake) => problem(file, mistake));
}

/** The statement of a file that `batchProblems` found nothing wrong with. */
export async function batchStatement(file: SqlFile, settings: BatchSettings): Promise<BatchStatement> {
  return { file, settings, uses: await findPlaceholders(file.sql) };
}

interface Mistake {
  readonly message: string;
  readonly hint: string;
  /** Where in the file; undefined: the file as a whole. */
  readonly index?: number | undefined;
}

function statementProblems(
  file: SqlFile,
  settings: BatchSettings,
  statement: Statement,
  uses: readonly PlaceholderUse[],
): Mistake[] {
  if (kinds[statement.kind] === undefined) {
    return [
      {
        message: "is marked as a batch but is no UPDATE, DELETE or INSERT … SELECT",
        hint: "remove the line -- ops: batch",
      },
    ];
  }
  const between = `${settings.key} BETWEEN :batch_start AND :batch_end`;
  const missing = placeholders.filter((_, index) => !uses.some((use) => use.parameter === index + 1));
  if (missing.length > 0) {
    return [{ message: `does not use ${missing.join(" and ")}`, hint: `add: WHERE ${between}` }];
  }
  if (file.settings.transaction === "none") {
    return [
      {
        message: "is a batch and transaction=none at once",
        hint: "remove transaction=none: a batch is a transaction",
      },
    ];
  }
  return [...keyMistakes(file, settings, statement, uses), ...tableMistakes(settings, statement)];
}

/** Both keys belong to the batch. A statement that leaves one out would leave rows out, without a word. */
function keyMistakes(
  file: SqlFile,
  settings: BatchSettings,
  statement: Statement,
  uses: readonly PlaceholderUse[],
): Mistake[] {
  return boundMistakes(settings, statement).map(({ message, hint, byte, parameter }) => ({
    message,
    hint,
    index:
      byte === undefined
        ? uses.find((each) => each.parameter === parameter)?.index
        : Buffer.from(file.sql).subarray(0, byte).toString().length,
  }));
}

function tableMistakes(settings: BatchSettings, statement: Statement): Mistake[] {
  const node = nodeOf(statement);
  const target = isRecord(node.relation) ? String(node.relation.relname) : "";
  if (target !== identifier(settings.table)) return [];
  if (statement.kind === "InsertStmt") {
    return [
      {
        message: `inserts into ${settings.table}, the table whose rows it goes through, and might never end`,
        hint: "insert into another table",
      },
    ];
  }
  const changed = listOf(statement.kind === "UpdateStmt" ? node.targetList : []).some(
    (each) => isRecord(each) && isRecord(each.ResTarget) && each.ResTarget.name === identifier(settings.key),
  );
  if (!changed) return [];
  return [
    {
      message: `changes the key ${settings.key}, so that a row could be met twice or never`,
      hint: "go through the table by another key",
    },
  ];
}

function problem(file: SqlFile, { message, hint, index }: Mistake): Problem {
  const text =
    index === undefined
      ? `${file.name} ${message}`
      : formatDiagnostic({ file: file.name, ...placeOfIndex(file.sql, index), message });
  return { kind: "batch", message: text, hint };
}
