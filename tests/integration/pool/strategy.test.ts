import { chmod, readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { diagnose } from "../../../src/doctor/diagnose.ts";
import { breaker } from "../../../src/pool/breaker.ts";
import { drain } from "../../../src/pool/drain.ts";
import { show } from "../../../src/pool/show.ts";
import { strategy } from "../../../src/pool/strategy.ts";
import { weight } from "../../../src/pool/weight.ts";
import { perform, testContext } from "../../support/context.ts";
import { Load } from "../../support/haproxy.ts";
import { ops, startOps } from "../../support/ops.ts";
import { type PoolBalancer, startPoolBalancer } from "../../support/pool-balancer.ts";

/** A machine under load takes its time. */
const patient = { timeout: 20_000 };
let balancer: PoolBalancer;
let original: string;
beforeAll(async () => {
  balancer = await startPoolBalancer();
  original = await readFile(balancer.file, "utf8");
});
afterAll(async () => {
  await balancer?.[Symbol.asyncDispose]();
});
beforeEach(async () => {
  await balancer.reset();
});

const context = (configuration: object = {}) =>
  testContext(balancer.settings({}, configuration), { directory: balancer.directory });
const file = () => readFile(balancer.file, "utf8");
const shown = async () => (await perform(show, context(), {})).output as Record<string, unknown>;
/** What stands outside the section of ops. */
const around = (text: string) => text.replace(/(# ops:begin web\n).*(\n\s*# ops:end)/s, "$1$2");
const config = async (configuration: object = {}) => {
  const path = join(balancer.directory, "opsrc.yaml");
  await writeFile(path, JSON.stringify(balancer.settings({}, configuration)));
  return { config: path, cwd: balancer.directory };
};

describe("pool.strategy", () => {
  test("is changed by a reload that loses no request, no weight and no drained server", async () => {
    await chmod(balancer.file, 0o640);
    await perform(drain, context(), { server: "c" });
    await perform(weight, context(), { server: "b", weight: 30 });
    const load = new Load(balancer.port, 8, 1);

    const done = await perform(strategy, context(), { strategy: "least-connections" });
    const running = await shown();
    const text = await file();
    const undone = await done.undo();
    const { failed, requests } = await load.stop();

    expect(failed).toBe(0);
    expect(requests).toBeGreaterThan(100);
    expect(done.changes).toMatchObject([{ from: "weighted", to: "least-connections", target: "pool:web" }]);
    expect(done.output).toMatchObject({ strategy: "least-connections", reloaded: true });
    expect(running).toMatchObject({
      strategy: "least-connections",
      servers: [{ weight: 100 }, { weight: 30 }, { state: "drain" }],
    });
    expect(done.report.lines).toEqual([]);
    expect(text).toContain("  balance leastconn\n");
    expect(around(text)).toBe(around(original));
    expect((await stat(balancer.file)).mode & 0o777).toBe(0o640);
    expect(undone).toMatchObject({ undone: true });
    expect(await shown()).toMatchObject({ strategy: "weighted", servers: [{}, { weight: 30 }, {}] });
  });

  test("round-robin and weighted need weights only, and no reload", async () => {
    const { output: weighted } = await perform(strategy, context(), {
      strategy: "weighted",
      weights: { a: "50", b: 10 },
    });
    const { output: equal, changes } = await perform(strategy, context(), { strategy: "round-robin" });

    expect(weighted).toMatchObject({ reloaded: false, weights: { a: 50, b: 10, c: 100 } });
    expect(changes).toMatchObject([{ summary: "give every server the same weight" }]);
    expect(equal).toMatchObject({ strategy: "round-robin", weights: { a: 100, b: 100, c: 100 } });
    for (const input of [{}, { weights: { d: 1 } }]) {
      const refused = perform(strategy, context(), { strategy: "weighted", ...input });
      await expect(refused).rejects.toMatchObject({ exitCode: 2 });
    }
  });

  test("sticky users stay on their server, and keep their cookies when it is chosen again", async () => {
    const sticky = await perform(strategy, context(), { strategy: "sticky" });
    const first = await fetch(`http://127.0.0.1:${balancer.port}/`);
    const cookie = first.headers.get("set-cookie")?.split(";")[0] ?? "";
    const server = await first.text();
    await sticky.undo();
    await perform(strategy, context(), { strategy: "sticky" });

    const headers = { cookie };
    const again = await Promise.all(
      Array.from({ length: 6 }, async () =>
        (await fetch(`http://127.0.0.1:${balancer.port}/`, { headers })).text(),
      ),
    );

    expect(cookie).toMatch(/^ops-web=[0-9a-f]+$/);
    expect(new Set(again)).toEqual(new Set([server]));
    expect(await shown()).toMatchObject({ strategy: "sticky" });
    await perform(strategy, context(), { strategy: "round-robin" });
  });

  test("what SIGKILL leaves between the new file and the reload is finished by the next call", async () => {
    const killed = await ops(["pool", "strategy", "least-connections", "--yes"], {
      ...(await config({ "master-socket": undefined, reload: ["sh", "-c", "kill -9 $PPID"] })),
    });
    expect(killed.signal).toBe("SIGKILL");
    expect(await file()).toContain("balance leastconn");
    expect(await shown()).toMatchObject({ strategy: "round-robin" });

    const next = await ops(["pool", "strategy", "least-connections", "--yes", "--json"], await config());

    expect(next).toMatchObject({ exitCode: 0 });
    expect(next.stdout).toContain("which has not loaded");
    expect(await shown()).toMatchObject({ strategy: "least-connections" });
    await perform(strategy, context(), { strategy: "round-robin" });
  });

  test("goes back to the old file where HAProxy does not take the new one", async () => {
    const before = await file();
    const refused = perform(
      strategy,
      context({ check: ["haproxy", "-c", "-f", "{file}", "-f", "/nonexistent"] }),
      {
        strategy: "least-connections",
      },
    );
    await expect(refused).rejects.toMatchObject({ code: "E_HAPROXY_CONFIGURATION" });
    expect(await file()).toBe(before);

    const once = join(balancer.directory, "once");
    const flaky = `test -e ${once} && exec kill -USR2 ${balancer.master}; touch ${once}; exit 1`;
    const failing = perform(strategy, context({ "master-socket": undefined, reload: ["sh", "-c", flaky] }), {
      strategy: "least-connections",
    });

    await expect(failing).rejects.toMatchObject({ code: "E_RELOAD_FAILED" });
    expect(await file()).toContain("balance roundrobin");
    expect(around(await file())).toBe(around(before));
    expect(await shown()).toMatchObject({ strategy: "round-robin" });
  });

  test.each([
    ["without a configuration", { configuration: undefined }, {}, "E_POOL_CONFIGURATION", "configuration:"],
    ["without its lines", {}, { file: "state" }, "E_POOL_SECTION", "ops:begin|backend web"],
    ["where a reload would lose weights", {}, { "state-file": undefined }, "E_POOL_STATE", "state-file"],
  ])("is refused %s, and nothing is touched", async (_, extra, configuration, code, hint) => {
    await balancer.command("set weight web/a 99");
    const before = await file();
    const given = Object.hasOwn(extra, "configuration")
      ? { configuration: undefined }
      : { configuration: { ...balancer.configurationSettings(), ...configuration } };
    const there = testContext(balancer.settings(given), { directory: balancer.directory });

    await expect(perform(strategy, there, { strategy: "least-connections" })).rejects.toMatchObject({
      code,
      exitCode: 2,
      hint: expect.stringMatching(hint),
    });
    expect(await file()).toBe(before);
  });

  test("a line of somebody else in the section is refused, not overwritten", async () => {
    const before = await file();
    const foreign = before.replace("# ops:end", "timeout server 1s\n  # ops:end");
    await writeFile(balancer.file, foreign);

    await expect(perform(strategy, context(), { strategy: "sticky" })).rejects.toMatchObject({
      code: "E_POOL_SECTION",
      message: expect.stringContaining('"timeout server 1s"'),
    });
    expect(await file()).toBe(foreign);
    await writeFile(balancer.file, before);
  });
});

describe("pool.breaker", () => {
  test("takes a failing server out, brings it back when it is well, and can be taken back", async () => {
    const done = await perform(breaker, context(), { state: "on", errors: 5 });
    const load = new Load(balancer.port, 4, 2);
    balancer.servers.b.failEvery = 1;
    await expect
      .poll(shown, { timeout: 5000 })
      .toMatchObject({ usable: 2, servers: [{}, { health: "down" }, {}] });
    balancer.servers.b.failEvery = 0;
    await expect.poll(shown, patient).toMatchObject({ usable: 3 });
    const { failed } = await load.stop();

    expect(failed).toBeLessThan(30);
    expect(done.output).toMatchObject({ reloaded: true, breaker: expect.stringContaining("error-limit 5") });
    const again = await perform(breaker, context(), { state: "on", errors: 5 });
    expect(again.changes).toEqual([]);
    await done.undo();
    expect(await file()).not.toContain("observe");
  });
});

test("the doctor names what a pool lacks", async () => {
  const about = async (settings: object) => {
    const { environment } = testContext(settings, { directory: balancer.directory });
    return (await diagnose({ environment })).find(({ subject }) => subject === "pool web");
  };

  expect(await about(balancer.settings())).toMatchObject({ status: "ok" });
  expect(await about(balancer.settings({}, { "state-file": undefined }))).toMatchObject({
    status: "warn",
    mend: expect.stringContaining("state-file"),
  });
  expect(await about(balancer.settings({}, { file: "state" }))).toMatchObject({
    status: "missing",
    message: expect.stringContaining("# ops:begin web"),
  });
});

test("two operators at once: the second is told who works on the pool", async () => {
  const where = await config();
  balancer.servers.a.mode = "silent";
  const hanging = Promise.all(Array.from({ length: 3 }, () => fetch(`http://127.0.0.1:${balancer.port}/`)));
  await expect.poll(() => balancer.servers.a.isHolding, patient).toBe(true);
  const first = startOps(["pool", "drain", "a", "--yes"], where);
  await expect.poll(async () => JSON.stringify(await shown()), patient).toContain('"drain"');

  const second = await ops(["pool", "weight", "b", "10", "--yes"], where);

  expect(second).toMatchObject({ exitCode: 6, stderr: expect.stringContaining("E_LOCK_HELD") });
  balancer.servers.a.release();
  balancer.servers.a.mode = "answer";
  await hanging;
  expect((await first.result).exitCode).toBe(0);
});
