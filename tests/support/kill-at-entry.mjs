// Loaded with `node --import` into the real command: ends it with SIGKILL around one entry of the journal.
//   KILL_AT_ENTRY=7         the entry, counted from 1 over this process
//   KILL_WHEN=before|after  before the entry is durable (the effect of the last one is complete), or right after it
import { DatabaseSync } from "node:sqlite";

const at = Number(process.env.KILL_AT_ENTRY);
const when = process.env.KILL_WHEN;
let entries = 0;
let writing = false;

const { prepare, exec } = DatabaseSync.prototype;

/** @param {string} sql */
DatabaseSync.prototype.prepare = function prepareWatched(sql) {
  if (sql.startsWith("INSERT INTO event")) {
    writing = true;
    entries += 1;
  }
  return prepare.call(this, sql);
};

/** @param {string} sql */
DatabaseSync.prototype.exec = function execWatched(sql) {
  const here = sql === "COMMIT" && writing && entries === at;
  if (sql === "COMMIT") writing = false;
  if (here && when === "before") process.kill(process.pid, "SIGKILL");
  exec.call(this, sql);
  if (here && when === "after") process.kill(process.pid, "SIGKILL");
};
