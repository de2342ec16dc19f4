import pg from "pg";

/**
 * A server's refusal without what the row holds that it is about: an error is kept in the journal. The names of the
 * table and of the constraint stay.
 */
export function withoutValues(error: unknown): unknown {
  if (!(error instanceof pg.DatabaseError)) return error;
  // Class 22: the message itself quotes the value that did not fit.
  const message =
    error.code?.startsWith("22") === true ? error.message.replace(/".*"/s, '"…"') : error.message;
  const told = new pg.DatabaseError(message, error.length, error.name);
  const { code, severity, schema, table, column, constraint } = error;
  return Object.assign(told, { code, severity, schema, table, column, constraint });
}

/** Runs `work`; what it throws tells no values. */
export async function keepingValues<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw withoutValues(error);
  }
}
