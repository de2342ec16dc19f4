import { setTimeout as delay } from "node:timers/promises";
import type pg from "pg";
import type { DatabaseTarget } from "../config/environment.ts";
import { connect } from "../postgres/connection.ts";
import { flagChannel } from "./postgres-tables.ts";

/** Milliseconds until a lost connection is tried again. */
const pause = 500;

/**
 * Listens on a connection of its own until the signal aborts; one that is lost is opened again, and what may have been
 * missed meanwhile counts as a change. Resolves at once where the signal has aborted, otherwise when it has.
 * Throws where the first connection cannot be made.
 */
export async function watchDatabase(
  database: DatabaseTarget,
  changed: () => void,
  signal: AbortSignal,
): Promise<void> {
  let client: pg.Client | undefined = await listen(database, changed);
  while (!signal.aborted) {
    if (client === undefined) {
      client = await listen(database, changed).catch(() => undefined);
      if (client === undefined) await delay(pause, undefined, { signal }).catch(() => undefined);
      continue;
    }
    await ended(client, signal);
    await client.end().catch(() => undefined);
    client = undefined;
  }
  await client?.end().catch(() => undefined);
}

async function listen(database: DatabaseTarget, changed: () => void): Promise<pg.Client> {
  const client = await connect(database, { applicationName: "ops flag watch" });
  client.on("notification", changed);
  await client.query(`LISTEN ${flagChannel}`);
  changed();
  return client;
}

/** When the connection has ended, or the signal has aborted. */
function ended(client: pg.Client, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      signal.removeEventListener("abort", done);
      client.off("end", done);
      resolve();
    };
    client.once("end", done);
    signal.addEventListener("abort", done, { once: true });
    if (signal.aborted) done();
  });
}
