import pg from "pg";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { checks } from "../../../src/gate/checks.ts";
import type { Cluster } from "../../../src/postgres/cluster.ts";
import type { CheckResult } from "../../../src/run/measure-check.ts";
import { measureGate } from "../../../src/run/measure-gate.ts";
import { testContext } from "../../support/context.ts";
import { startPooler } from "../../support/pgbouncer.ts";
import { startTestCluster } from "../../support/postgres.ts";
import { startStandby } from "../../support/standby.ts";

let primary: Cluster;
let standby: Cluster;
const open: pg.Client[] = [];

beforeAll(async () => {
  primary = await startTestCluster({
    max_prepared_transactions: "2",
    autovacuum: "off",
    max_connections: "40",
  });
  standby = await startStandby(primary, "east", { max_prepared_transactions: "2" });
  const admin = await session();
  await admin.query("CREATE ROLE watcher LOGIN; GRANT pg_monitor TO watcher; CREATE ROLE stranger LOGIN");
  await admin.query(
    "CREATE TABLE stock AS SELECT n AS id, repeat('x', 90) AS text FROM generate_series(1, 2000) n",
  );
}, 60_000);
afterEach(async () => {
  await Promise.all(open.splice(0).map((each) => each.end()));
});
afterAll(async () => {
  await standby?.stop();
  await primary?.stop();
});

/** A session of an application; it ends with the test. */
async function session(application = "app", url = primary.url()): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: url, application_name: application });
  client.on("error", () => undefined);
  await client.connect();
  open.push(client);
  return client;
}

const as = (role: string, cluster = primary) => `postgresql://${role}@127.0.0.1:${cluster.port}/postgres`;

/** One check, measured by a role that is only a member of pg_monitor. */
async function measured(kind: string, settings: object = {}, url = as("watcher")): Promise<CheckResult> {
  const context = testContext(
    { databases: { main: { url } }, gates: { g: { checks: [{ id: "c", kind, ...settings }] } } },
    { checks },
  );
  const { checks: results } = await measureGate(context, "g", 30_000);
  const [result] = results;
  if (result === undefined) throw new Error("the check has no result");
  return result;
}

async function until(condition: () => Promise<boolean>): Promise<void> {
  for (const end = Date.now() + 20_000; !(await condition()); ) {
    if (Date.now() > end) throw new Error("the condition did not come");
    await new Promise((done) => setTimeout(done, 20));
  }
}

describe("replication-lag", () => {
  const lag = (settings: object = {}, url?: string) => measured("replication-lag", settings, url);

  test("a standby that follows passes, and is waited for while it catches up", async () => {
    const app = await session();
    await app.query("INSERT INTO stock SELECT n, 'y' FROM generate_series(1, 20000) n");
    const result = await lag({ with: { standbys: ["east"] }, fail: "> 5s" });

    expect(result).toMatchObject({ status: "pass", evidence: { askedAt: "primary", missing: [] } });
    expect(result.reason).toMatch(
      /^east (has everything|is at most \d+ms( and .*)? behind), within limit > 5s$/,
    );
  });

  test("one that must be there and is not fails", async () => {
    expect(await lag({ with: { standbys: ["east", "west"] } })).toMatchObject({
      status: "fail",
      reason: "standby west is not connected",
    });
  });

  test("by bytes or by time, one that stands still is not taken for one that follows", async () => {
    const replica = await session("admin", standby.url());
    await replica.query("SELECT pg_wal_replay_pause()");
    await until(
      async () => (await replica.query("SELECT pg_get_wal_replay_pause_state() AS s")).rows[0].s === "paused",
    );
    const app = await session();
    await app.query("INSERT INTO stock SELECT n, 'z' FROM generate_series(1, 20000) n");
    const options = { with: { timeout: "1s" } };
    const [byBytes, decided, open, itself, paused] = await Promise.all([
      lag({ ...options, fail: "> 1MiB" }),
      lag({ ...options, fail: "> 200ms" }),
      lag({ ...options, fail: "> 10m" }),
      lag({ ...options, fail: "> 1MiB" }, as("watcher", standby)),
      lag({ ...options, fail: "> 1GiB" }, as("watcher", standby)),
    ]);
    await replica.query("SELECT pg_wal_replay_resume()");

    expect(byBytes).toMatchObject({
      status: "fail",
      reason: expect.stringMatching(/^east is .* MiB behind, limit > 1MiB$/),
    });
    expect(decided.status).toBe("fail");
    expect(paused).toMatchObject({
      status: "warn",
      reason: expect.stringMatching(/^this standby \(paused\) .* behind, and stays so until it is resumed$/),
    });
    expect(open).toMatchObject({
      status: "unknown",
      reason: expect.stringMatching(
        /^east is \d+ms or more and .* behind: nobody can tell whether that is > 10m$/,
      ),
    });
    expect(itself).toMatchObject({
      status: "fail",
      reason: expect.stringMatching(/^this standby \(paused\) is .* MiB behind/),
    });
  });

  test("a standby that has everything is not behind, however long ago the last commit was", async () => {
    const replica = await session("admin", standby.url());
    await until(
      async () =>
        (
          await replica.query(
            "SELECT pg_last_wal_replay_lsn() = (SELECT latest_end_lsn FROM pg_stat_wal_receiver) AS yes",
          )
        ).rows[0].yes,
    );
    const result = await lag({ fail: "> 10ms" }, as("watcher", standby));

    expect(result).toMatchObject({
      status: "pass",
      reason: "this standby has everything, within limit > 10ms",
    });
    expect(result.evidence).toMatchObject({
      askedAt: "standby",
      standbys: [{ state: "streaming", lagBytes: 0 }],
    });
  });

  test("a slot that nobody reads warns, and fails where it holds back more than it may", async () => {
    const app = await session();
    await app.query("SELECT pg_create_physical_replication_slot('gone', true)");
    try {
      await app.query("INSERT INTO stock SELECT n, 'slot' FROM generate_series(1, 20000) n");
      const warned = await lag();
      const failed = await lag({ with: { "slot-keeps": "1MiB" } });

      expect(warned).toMatchObject({
        status: "warn",
        reason: expect.stringMatching(/^nobody reads slot gone, for which .* MiB of log are kept$/),
      });
      expect(failed).toMatchObject({
        status: "fail",
        reason: expect.stringMatching(/^slot gone, .*, limit 1.0 MiB$/),
      });
      expect(await lag({ with: { slots: false } })).toMatchObject({ status: "pass" });
    } finally {
      await app.query("SELECT pg_drop_replication_slot('gone')");
    }
  });

  test("a cluster without a standby fails", async () => {
    const app = await session();
    const { rows } = await app.query("SELECT pid FROM pg_stat_replication");
    expect(rows).toHaveLength(1);
    expect(await lag({ with: { standbys: ["west"] } })).toMatchObject({ status: "fail", value: null });
  });
});

describe("connections", () => {
  test("in percent of what applications may open, and by number", async () => {
    await Promise.all(Array.from({ length: 10 }, () => session("shop")));
    const usual = await measured("connections");
    const percent = await measured("connections", { warn: "> 5%", fail: "> 20%" });
    const number = await measured("connections", { fail: "> 50" });

    expect(usual).toMatchObject({
      status: "pass",
      evidence: {
        maxConnections: 40,
        usable: 37,
        applications: [{ application: "shop", count: 10 }],
        pooled: false,
      },
    });
    expect(percent).toMatchObject({
      status: "fail",
      reason: expect.stringMatching(/^1\d of 37 connections are in use \(2\d/),
    });
    expect(number.status).toBe("pass");
  });

  test("a session that is idle in its transaction for too long, a role with a limit of its own", async () => {
    const admin = await session();
    await admin.query("CREATE ROLE narrow LOGIN CONNECTION LIMIT 2");
    const idle = await session("forgotten", as("narrow"));
    await idle.query("BEGIN");
    await session("other", as("narrow"));
    await admin.query("SELECT pg_sleep(0.05)");
    const role = await measured("connections");
    const tooIdle = await measured("connections", {
      with: { "idle-in-transaction": "10ms" },
      fail: "> 100%",
    });

    expect(role).toMatchObject({ status: "fail", reason: "role narrow has 2 of its 2, limit > 90%" });
    expect(tooIdle).toMatchObject({
      status: "fail",
      reason: expect.stringMatching(/^a session is idle in its transaction for \d+ms, limit 10ms$/),
    });
  });

  test("a server that refuses everybody has no free connection: that is a fact", async () => {
    const clients: pg.Client[] = [];
    try {
      for (;;) clients.push(await session("crowd", as("stranger")));
    } catch (error) {
      expect((error as { code?: string }).code).toBe("53300");
    }
    expect(await measured("connections")).toMatchObject({
      status: "fail",
      reason: "of the connections of the server none is left: too many clients already",
    });
  });

  test("behind PgBouncer its clients are said not to be seen", async () => {
    await using pooler = await startPooler(primary);
    expect(await measured("connections", {}, pooler.url("postgres"))).toMatchObject({
      status: "pass",
      reason: expect.stringMatching(
        /; those of the pooler in between: clients that wait for one are not seen$/,
      ),
      evidence: { pooled: true },
    });
  });
});

describe("long-transactions", () => {
  const oldest = (settings: object = {}) => measured("long-transactions", settings);

  test("says who has the oldest, with the query only where that is asked for", async () => {
    expect(await oldest()).toMatchObject({
      status: "pass",
      reason: "no transaction is open, within limit > 5m",
    });
    const app = await session("report");
    await app.query("BEGIN");
    await app.query("SELECT 'a secret' AS literal");
    const without = await oldest({ fail: "> 1ms" });
    const withQueries = await oldest({ fail: "> 1ms", with: { "show-queries": true } });

    expect(without).toMatchObject({
      status: "fail",
      reason: expect.stringMatching(
        /^oldest of 1 open transaction: pid \d+ "report" of postgres, idle in transaction, \d+ms old, limit > 1ms$/,
      ),
    });
    expect(JSON.stringify(without)).not.toContain("secret");
    expect(withQueries.reason).toContain("SELECT 'a secret' AS literal");
    expect(await oldest({ fail: "> 1ms", with: { except: ["rep*"] } })).toMatchObject({ status: "pass" });
    expect(await oldest({ fail: "> 1ms", with: { except: ["_eport"] } })).toMatchObject({ status: "fail" });
  });

  test("a prepared transaction is one that nobody has, and holds vacuum back", async () => {
    const app = await session();
    await app.query("BEGIN; INSERT INTO stock VALUES (0, 'prepared'); PREPARE TRANSACTION 'order 17'");
    try {
      for (let n = 0; n < 20; n += 1) await app.query("INSERT INTO stock VALUES (0, 'later')");
      expect(await oldest({ fail: "> 1ms" })).toMatchObject({
        status: "fail",
        reason: expect.stringMatching(
          /^oldest of 1 open transaction: prepared transaction order 17 of postgres, /,
        ),
      });
      expect(await oldest({ with: { "held-back": 10 } })).toMatchObject({
        status: "fail",
        reason: expect.stringMatching(
          /^prepared transaction order 17 holds vacuum back by 2\d transactions, limit > 10$/,
        ),
      });
    } finally {
      await app.query("ROLLBACK PREPARED 'order 17'");
    }
  });
});

describe("locks", () => {
  test("tells the queue, what it waits for and who is at its head", async () => {
    expect(await measured("locks")).toMatchObject({
      status: "pass",
      reason: "no session waits for a lock, within limit > 30s",
    });
    const [holder, second, third, admin] = await Promise.all([
      session("holder"),
      session("migration"),
      session("web"),
      session(),
    ]);
    await holder.query("BEGIN; LOCK TABLE stock IN ACCESS SHARE MODE");
    const waiting = [
      second.query("BEGIN; LOCK TABLE stock; COMMIT"),
      third.query("SELECT count(*) FROM stock"),
    ].map((each) => each.catch(() => undefined));
    await until(
      async () =>
        (await admin.query("SELECT count(*)::int AS n FROM pg_locks WHERE NOT granted")).rows[0].n > 0,
    );
    const byTime = await measured("locks", { fail: "> 1ms" });
    const byNumber = await measured("locks", { fail: "> 5" });
    const bloat = await measured("bloat", { with: { "min-size": "8KiB" }, fail: "> 100%" });
    await holder.query("ROLLBACK");
    await Promise.all(waiting);

    expect(byTime.status).toBe("fail");
    expect(byTime.reason).toMatch(
      /longest .*: pid \d+ "migration" for AccessExclusiveLock on public.stock; behind pid \d+ "holder", idle in transaction, in its transaction for /,
    );
    expect(byTime.evidence).toMatchObject({
      count: expect.any(Number),
      blocking: [{ application: "holder", query: null }],
      deadlocks: 0,
    });
    expect(byNumber.status).toBe("pass");
    // A measurement does not wait in that queue.
    expect(bloat.status).toBe("warn");
  });
});

describe("bloat", () => {
  const small = { "min-size": "8KiB" };

  test("finds the worst table by estimate, and says so where autovacuum is off", async () => {
    const app = await session();
    await app.query("CREATE TABLE dying AS SELECT n FROM generate_series(1, 1000) n");
    await app.query("DELETE FROM dying WHERE n <= 600");
    await app.query("SELECT pg_stat_force_next_flush()");
    const result = await measured("bloat", { with: small });

    expect(result).toMatchObject({
      status: "fail",
      value: 60,
      reason: expect.stringMatching(
        /^an estimated 60% of the rows of public.dying \(.*\) are dead, limit > 40%$/,
      ),
    });
    const fine = await measured("bloat", { with: { tables: ["public.stock"] }, fail: "> 90%" });
    expect(fine).toMatchObject({ status: "warn", reason: "autovacuum is off" });
    expect(fine.evidence).toMatchObject({ wraparound: { xidFreezeAge: 200_000_000 } });
  });

  test("counters that were lost, as by a failover, are unknown until somebody counts", async () => {
    const app = await session();
    await app.query("ANALYZE stock");
    await app.query("SELECT pg_stat_reset()");
    const stock = { with: { tables: ["public.stock"] } };
    const lost = await measured("bloat", stock);
    await app.query("ANALYZE stock");

    expect(lost).toMatchObject({
      status: "unknown",
      reason: "the statistics of 1 table were lost (public.stock): ANALYZE counts their rows again",
    });
    expect((await measured("bloat", stock)).status).not.toBe("unknown");
    expect(await measured("bloat", stock, as("watcher", standby))).toMatchObject({
      status: "unknown",
      reason: expect.stringContaining("is a standby"),
    });
  });

  test("pgstattuple measures, and is said to be missing", async () => {
    const wanted = { with: { tables: ["public.stock"], measured: true } };
    const missing = await measured("bloat", wanted);
    const app = await session();
    await app.query(
      "CREATE SCHEMA tools; CREATE EXTENSION pgstattuple SCHEMA tools; GRANT USAGE ON SCHEMA tools TO watcher",
    );
    await app.query("DELETE FROM stock WHERE id % 2 = 0");
    const result = await measured("bloat", wanted);

    expect(missing).toMatchObject({
      status: "unknown",
      reason: expect.stringContaining("CREATE EXTENSION pgstattuple"),
    });
    expect(result.reason).toMatch(
      /^\d+(\.\d+)?% of public.stock is dead rows and \d+(\.\d+)?% free, limit > 40%$/,
    );
    expect(result.value).toBeGreaterThan(30);
  });
});

describe("disk", () => {
  test("of a path: free room and inodes", async () => {
    const usual = await measured("disk", { with: { path: "/tmp" }, fail: "< 1B" });
    const full = await measured("disk", { with: { path: "/tmp" }, fail: "< 100000TiB" });
    const mount = await measured("disk", { with: { path: "src", mounted: true } });
    const missing = await measured("disk", { with: { path: "/nowhere/at/all" } });

    expect(usual).toMatchObject({
      status: "pass",
      reason: expect.stringMatching(/^\/tmp has .* free \(.*%\)$/),
    });
    expect(full.status).toBe("fail");
    expect(mount).toMatchObject({ status: "fail", reason: expect.stringMatching(/src is not mounted/) });
    expect(missing).toMatchObject({
      status: "unknown",
      reason: expect.stringContaining("/nowhere/at/all cannot be looked at"),
    });
  });

  test("of a database: the server's folders where they are here, and its log", async () => {
    const here = await measured("disk", { with: { database: "main" }, fail: "< 1B" });
    const log = await measured("disk", { with: { database: "main", "wal-size": "1MiB" }, fail: "< 1B" });

    expect(here).toMatchObject({
      status: "pass",
      reason: expect.stringMatching(/ free \(.*; pg_wal holds .* MiB$/),
    });
    expect(log).toMatchObject({
      status: "fail",
      reason: expect.stringMatching(/^pg_wal holds .* MiB, limit 1.0 MiB$/),
    });
  });

  test("either a path or a database", async () => {
    await expect(measured("disk")).rejects.toMatchObject({
      code: "E_GATE_INVALID",
      message: expect.stringContaining("needs either path or database"),
    });
  });
});

test.each(["replication-lag", "connections", "long-transactions", "locks"])(
  "%s is unknown for a role that may not see other sessions",
  async (kind) => {
    expect(await measured(kind, {}, as("stranger"))).toMatchObject({
      status: "unknown",
      reason: "The role stranger may not see other users' sessions; let it: GRANT pg_monitor TO stranger",
    });
  },
);

test("no object of the database stands in for one of the server", async () => {
  const app = await session();
  await app.query("CREATE SCHEMA trap; CREATE VIEW trap.pg_stat_activity AS SELECT 1 AS pid WHERE false");
  await app.query("ALTER ROLE watcher SET search_path = trap, pg_catalog");
  try {
    const held = await session("held");
    await held.query("BEGIN");
    await held.query("SELECT 1");
    expect(await measured("long-transactions", { fail: "> 0ms" })).toMatchObject({
      status: "fail",
      reason: expect.stringContaining('"held"'),
    });
  } finally {
    await app.query("ALTER ROLE watcher RESET search_path");
  }
});
