import { type Statement, statements } from "./statements.ts";

/** A statement that begins or ends a transaction, at a UTF-16 index into the text. */
export interface TransactionStatement {
  readonly keyword: string;
  readonly index: number;
}

/**
 * Finds the statements of an SQL text that would take the transaction out of our hands: BEGIN, COMMIT, ROLLBACK and
 * their synonyms. Savepoints are left alone. What it misses, because the server reads strings in another way, is
 * caught when the file has run.
 */
export function transactionStatements(sql: string): TransactionStatement[] {
  return statements(sql).flatMap((statement) => {
    const keyword = transactionKeyword(statement);
    return keyword === undefined ? [] : [{ keyword, index: statement.index }];
  });
}

function transactionKeyword({ words }: Statement): string | undefined {
  const [first = "", second = "", third = ""] = words;
  switch (first) {
    case "BEGIN":
    case "COMMIT":
    case "END":
    case "ABORT":
      return first;
    case "START":
    case "PREPARE":
      return second === "TRANSACTION" ? `${first} ${second}` : undefined;
    case "ROLLBACK":
      return second === "TO" || third === "TO" ? undefined : first;
    default:
      return undefined;
  }
}
