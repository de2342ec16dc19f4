import type { DatabaseSync } from "node:sqlite";

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
