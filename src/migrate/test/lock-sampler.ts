import { setTimeout as delay } from "node:timers/promises";
import type pg from "pg";
import { compareModes, type LockMode, lockModeOf } from "./lock-mode.ts";

/** Milliseconds between two looks. */
const interval = 5;

/**
 * Watches, from another connection, the locks of a session while it runs a statement outside a transaction. A lock
 * that is held for less than a few milliseconds may go unseen.
 */
export class LockSampler {
  private readonly strongest = new Map<string, LockMode>();
  private running = true;
  private finished: Promise<void> = Promise.resolve();

  static async start(client: pg.Client, observer: pg.Client): Promise<LockSampler> {
    const { rows } = await client.query<{ pid: number }>("SELECT pg_catalog.pg_backend_pid() AS pid");
    const sampler = new LockSampler();
    sampler.finished = sampler.watch(observer, rows[0]?.pid ?? 0);
    // `stop` throws it; until then it must not count as unhandled.
    sampler.finished.catch(() => undefined);
    return sampler;
  }

  /** The strongest mode that was seen for each relation, by oid. */
  async stop(): Promise<ReadonlyMap<string, LockMode>> {
    this.running = false;
    await this.finished;
    return this.strongest;
  }

  private async watch(observer: pg.Client, pid: number): Promise<void> {
    while (this.running) {
      const { rows } = await observer.query<{ oid: string; mode: string }>(
        `SELECT relation::text AS oid, mode FROM pg_catalog.pg_locks
          WHERE pid = $1 AND locktype = 'relation' AND granted AND database <> 0`,
        [pid],
      );
      for (const { oid, mode: name } of rows) {
        const mode = lockModeOf(name);
        const known = this.strongest.get(oid);
        if (mode === undefined || (known !== undefined && compareModes(mode, known) <= 0)) continue;
        this.strongest.set(oid, mode);
      }
      await delay(interval);
    }
  }
}
