import { nodeOf, type Statement } from "./statements.ts";

/** A statement that begins or ends a transaction, at a UTF-16 index into the text. */
export interface TransactionStatement {
  readonly keyword: string;
  readonly index: number;
  /** Behind its last character. */
  readonly end: number;
  /** Without options: an isolation level, AND CHAIN. */
  readonly plain: boolean;
}

const keywords: Readonly<Record<string, string>> = {
  TRANS_STMT_BEGIN: "BEGIN",
  TRANS_STMT_START: "BEGIN",
  TRANS_STMT_COMMIT: "COMMIT",
  TRANS_STMT_ROLLBACK: "ROLLBACK",
  TRANS_STMT_PREPARE: "PREPARE TRANSACTION",
  TRANS_STMT_COMMIT_PREPARED: "COMMIT PREPARED",
  TRANS_STMT_ROLLBACK_PREPARED: "ROLLBACK PREPARED",
};

/**
 * The statements that would take the transaction out of our hands: BEGIN, COMMIT, ROLLBACK and their synonyms;
 * savepoints are left alone. What the parser misses, because the server reads strings in another way
 * (standard_conforming_strings off), is caught when the file has run.
 */
export function transactionStatements(statements: readonly Statement[]): TransactionStatement[] {
  return statements.flatMap((statement) => {
    const { kind, options, chain } = nodeOf(statement);
    const keyword = statement.kind === "TransactionStmt" ? keywords[String(kind)] : undefined;
    if (keyword === undefined) return [];
    return [
      {
        keyword,
        index: statement.start,
        end: statement.start + statement.text.length,
        plain: options === undefined && chain !== true,
      },
    ];
  });
}

/** Words without which a text cannot hold one. */
export const transactionWords = /\b(?:begin|start|commit|end|rollback|abort|prepare)\b/i;
