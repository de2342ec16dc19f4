import { setTimeout as delay } from "node:timers/promises";
import type pg from "pg";
import type { DatabaseTarget } from "../config/environment.ts";
import { connect } from "../postgres/connection.ts";
import { flagChannel } from "./postgres-tables.ts";

/** Milliseconds until a lost connection is tried again. */
const pause = 500;
/** Milliseconds between two questions whether the server is still there, and until it counts as gone. */
const [heartbeat, silence] = [1000, 2000];

/**
 * Listens on a connection of its own until the signal aborts; one that is lost, or cut off without a word, is opened again,
 * and what may have been missed meanwhile counts as a change, its loss too: who then reads sees whether the database is there. Resolves at once where the signal has aborted, otherwise when it has.
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
    if (!signal.aborted) changed();
  }
  await client?.end().catch(() => undefined);
}

async function listen(database: DatabaseTarget, changed: () => void): Promise<pg.Client> {
  const client = await connect(database, { applicationName: "ops flag watch", queryTimeout: silence });
  client.on("notification", changed);
  await client.query(`LISTEN ${flagChannel}`);
  changed();
  return client;
}

/** When the connection has ended or answers no more, or the signal has aborted. */
async function ended(client: pg.Client, signal: AbortSignal): Promise<void> {
  const over = new AbortController();
  const done = () => over.abort();
  client.once("end", done);
  const either = AbortSignal.any([over.signal, signal]);
  try {
    while (!either.aborted) {
      await client.query("SELECT 1");
      await delay(heartbeat, undefined, { signal: either }).catch(() => undefined);
    }
  } catch {
    // It is opened again, and only that tells whether the server is there.
  } finally {
    client.off("end", done);
  }
}
