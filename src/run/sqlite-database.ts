import { DatabaseSync } from "node:sqlite";

/** Waits for what others do with the file, also to look: the last one that closes it has it alone for a moment. */
export function openDatabase(file: string, options: { readonly readOnly?: boolean } = {}): DatabaseSync {
  return new DatabaseSync(file, { ...options, timeout: 10_000 });
}

/** Durable when it returns, all of it or nothing; a failure to commit (a full disk) is thrown, not lost. */
export function inTransaction<T>(database: DatabaseSync, work: () => T): T {
  database.exec("BEGIN IMMEDIATE");
  try {
    const result = work();
    database.exec("COMMIT");
    return result;
  } catch (error) {
    if (database.isTransaction) database.exec("ROLLBACK");
    throw error;
  }
}
