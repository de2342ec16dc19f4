// Loaded with `node --import`: ends the process with SIGKILL around one SQL statement of its own connections.
//   KILL_AT_STATEMENT=7        the statement, counted from 1; 0: none, their number goes to standard error at the end
//   KILL_WHEN=before|sent|after  before it is sent; when it is sent, whatever the server makes of it; when it is done
import pg from "pg";

const at = Number(process.env.KILL_AT_STATEMENT);
const when = process.env.KILL_WHEN;
let statements = 0;

/** @type {{ query: (...args: unknown[]) => Promise<unknown> }} */
const client = pg.Client.prototype;
const { query } = client;

/** @param {unknown[]} args */
client.query = function queryWatched(...args) {
  statements += 1;
  const here = statements === at;
  const end = () => process.kill(process.pid, "SIGKILL");
  if (here && when === "before") end();
  const result = query.apply(this, args);
  if (here && when === "sent") setImmediate(end);
  if (here && when === "after") result.then(end, end);
  return result;
};

process.on("exit", () => {
  if (at === 0) process.stderr.write(`${statements} statements\n`);
});
