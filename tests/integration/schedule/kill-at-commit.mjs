// Loaded with `node --import` into the real command: ends it with SIGKILL around one commit of the record of schedules.
//   KILL_AT_COMMIT=3        the commit, counted from 1 over this process
//   KILL_WHEN=before|after  before it is durable, or right after it
import { DatabaseSync } from "node:sqlite";

const at = Number(process.env.KILL_AT_COMMIT);
const when = process.env.KILL_WHEN;
let commits = 0;

const { exec } = DatabaseSync.prototype;

/** @param {string} sql */
DatabaseSync.prototype.exec = function execWatched(sql) {
  if (sql !== "COMMIT") return exec.call(this, sql);
  commits += 1;
  if (commits === at && when === "before") process.kill(process.pid, "SIGKILL");
  exec.call(this, sql);
  if (commits === at && when === "after") process.kill(process.pid, "SIGKILL");
};
