import type { DatabaseSync } from "node:sqlite";

const notice = `
CREATE TABLE notice (
  id INTEGER PRIMARY KEY AUTOINCREMENT, environment TEXT NOT NULL, source TEXT NOT NULL, channel TEXT NOT NULL,
  target TEXT NOT NULL, key TEXT NOT NULL, subject TEXT, body TEXT NOT NULL, created_at INTEGER NOT NULL,
  attempts INTEGER NOT NULL DEFAULT 0, not_before INTEGER NOT NULL, problem TEXT, claimed_by TEXT,
  state TEXT NOT NULL DEFAULT 'waiting', ended_at INTEGER, rest TEXT,
  UNIQUE (environment, key)
) STRICT;
CREATE INDEX notice_of_subject ON notice (environment, channel, target, subject) WHERE state = 'waiting';
`;

const journalCursor = `
CREATE TABLE IF NOT EXISTS journal_cursor (
  environment TEXT PRIMARY KEY, position INTEGER NOT NULL, since INTEGER NOT NULL
) STRICT;
`;

/** The notices that an earlier version had not sent yet, in today's form. */
const takeOver = `
INSERT INTO notice (environment, source, channel, target, key, body, created_at, attempts, not_before, problem)
SELECT environment, schedule, channel, target, 'schedule/' || schedule || '/before/' || id,
  CASE channel WHEN 'ping' THEN body ELSE json_object(
    'event', 'schedule.' || json_extract(body, '$.event'), 'severity', 'error',
    'title', json_extract(body, '$.text'), 'text', json_extract(body, '$.text'),
    'environment', environment, 'host', json_extract(body, '$.host'), 'at', json_extract(body, '$.at'),
    'subject', 'schedule/' || environment || '/' || schedule, 'incident', NULL, 'command', NULL,
    'facts', json_array(), 'data', json(body)) END,
  created_at, attempts, not_before, problem
FROM notice_before;
DROP TABLE notice_before;
`;

/** Whether all tables have today's form. */
export function isPrepared(database: DatabaseSync): boolean {
  const query = "SELECT count(*) AS found FROM pragma_table_info('notice') WHERE name = 'rest'";
  const cursor = "SELECT count(*) AS found FROM sqlite_schema WHERE name = 'journal_cursor'";
  return [query, cursor].every((each) => Number(database.prepare(each).get()?.found) === 1);
}

/** Makes the tables where they are missing; inside a transaction. */
export function prepareOutbox(database: DatabaseSync): void {
  const columns = database.prepare("PRAGMA table_info(notice)").all();
  const old = columns.length > 0 && columns.every(({ name }) => name !== "key");
  if (old) database.exec("ALTER TABLE notice RENAME TO notice_before");
  if (old || columns.length === 0) database.exec(notice);
  if (old) database.exec(takeOver);
  const whole = old || columns.length === 0 || columns.some(({ name }) => name === "rest");
  if (!whole) database.exec("ALTER TABLE notice ADD COLUMN rest TEXT");
  database.exec(journalCursor);
}
