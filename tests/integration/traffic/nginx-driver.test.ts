import { existsSync } from "node:fs";
import { appendFile, mkdtempDisposable, readFile, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { parseRouteFile, renderRouteFile } from "../../../src/nginx/route-file.ts";
import { observeShare } from "../../../src/rollout/confidence.ts";
import { init } from "../../../src/traffic/init.ts";
import { openRoute } from "../../../src/traffic/route.ts";
import { shift } from "../../../src/traffic/shift.ts";
import { status } from "../../../src/traffic/status.ts";
import { perform, testContext } from "../../support/context.ts";
import { request } from "../../support/haproxy.ts";
import { type Nginx, startNginx } from "../../support/nginx.ts";
import { ops } from "../../support/ops.ts";
import { type ContractSubject, driverContract } from "./driver-contract.ts";

function subjectOf(nginx: Nginx): ContractSubject {
  let users = 0;
  return {
    settings: () => nginx.settings(),
    async answer() {
      users += 1;
      return (await request(nginx.port, undefined, `/?user=${users}`)).body;
    },
    rest: () => nginx.rest(),
    async meddle() {
      const text = await readFile(nginx.file, "utf8");
      await writeFile(
        nginx.file,
        text.replace(/^\s*(server|\*) .*$/m, (line) => `${line} # for now`),
      );
      await nginx.reload();
    },
    async reset() {
      const { target, driver } = openRoute(testContext(nginx.settings()).environment, "web");
      const all = { blue: driver.scale.total ?? 100, green: 0 };
      if (target.driver !== "nginx") throw new Error("the route is not one of nginx");
      const edited = await driver.weights().then(
        () => false,
        () => true,
      );
      // Not what is set afterwards: nginx would say that it has loaded it already.
      if (edited) await writeFile(nginx.file, renderRouteFile({ ...target, route: "web" }, { green: 1 }));
      await driver.setWeights(all);
    },
    async refuseSets() {
      const file = join(nginx.directory, "nginx.conf");
      const whole = await readFile(file, "utf8");
      await appendFile(file, "no_such_directive on;\n");
      return { settings: nginx.settings(), end: () => writeFile(file, whole) };
    },
    async goAway() {
      await nginx.stop();
      return () => nginx.run();
    },
    [Symbol.asyncDispose]: () => nginx[Symbol.asyncDispose](),
  };
}

describe("nginx, by the weights of an upstream", () => {
  driverContract(async () => subjectOf(await startNginx("upstream")));
});

describe("nginx, by the parts of split_clients", () => {
  driverContract(async () => subjectOf(await startNginx("clients")));
});

const driverOf = (nginx: Nginx, extra: object = {}) =>
  openRoute(testContext(nginx.settings(extra)).environment, "web").driver;

describe("nginx, by split_clients", () => {
  test("on a ramp no client falls back, and 0% and 100% are exact", async () => {
    await using nginx = await startNginx("clients");
    const users = Array.from({ length: 300 }, (_, index) => index);
    const versions = () =>
      Promise.all(users.map(async (user) => (await request(nginx.port, undefined, `/?user=${user}`)).body));
    const seen: string[][] = [];
    for (const green of [0, 1000, 5000, 10_000]) {
      await driverOf(nginx).setWeights({ blue: 10_000 - green, green });
      seen.push(await versions());
    }

    const [none = [], few = [], half = [], everybody = []] = seen;
    expect(new Set(none)).toEqual(new Set(["blue"]));
    expect(new Set(everybody)).toEqual(new Set(["green"]));
    const green = (each: string[]) => users.filter((user) => each[user] === "green");
    expect(observeShare(green(few).length, users.length, 0.1).verdict).toBe("agrees");
    expect(observeShare(green(half).length, users.length, 0.5).verdict).toBe("agrees");
    expect(green(half)).toEqual(expect.arrayContaining(green(few)));
  });
});

describe("what may go wrong with nginx", () => {
  let nginx: Nginx;
  beforeAll(async () => {
    nginx = await startNginx("upstream");
  });
  afterAll(async () => {
    await nginx?.[Symbol.asyncDispose]();
  });

  test("a reload that loads nothing: the old file is put back", async () => {
    const before = await readFile(nginx.file, "utf8");
    const deaf = driverOf(nginx, { reload: ["true"], "load-within": "400ms" });

    await expect(deaf.setWeights({ blue: 50, green: 50 })).rejects.toMatchObject({
      code: "E_WEIGHT_NOT_SET",
      message: expect.stringContaining("has not loaded"),
    });

    expect(await readFile(nginx.file, "utf8")).toBe(before);
    expect(await deaf.weights()).toEqual({ blue: 100, green: 0 });
  });

  test.each([
    ["may not reload", { reload: ["/bin/sh", "-c", "echo no such pid >&2; exit 1"] }, "E_NGINX_RELOAD"],
    ["has no such program", { test: ["no-such-nginx", "-t"] }, "E_PROGRAM_MISSING"],
    ["asks another server", { status: "127.0.0.1:1" }, "E_NGINX_UNREACHABLE"],
    ["has no file", { file: "no-such-file.conf" }, "E_NGINX_FILE"],
  ])("who %s, leaves the file and the weights", async (_, extra, code) => {
    const before = await readFile(nginx.file, "utf8");

    await expect(driverOf(nginx, extra).setWeights({ blue: 50, green: 50 })).rejects.toMatchObject({
      code,
      hint: expect.any(String),
    });

    expect(await readFile(nginx.file, "utf8")).toBe(before);
    expect(await driverOf(nginx).weights()).toEqual({ blue: 100, green: 0 });
    expect(existsSync("no-such-file.conf.lock")).toBe(false);
  });

  test("a file that somebody edited is left alone by every operation", async () => {
    const before = await readFile(nginx.file, "utf8");
    const edited = before.replace("max_fails=0", "max_fails=3");
    await writeFile(nginx.file, edited);
    const drift = { code: "E_TRAFFIC_DRIFT", message: expect.stringContaining(nginx.file) };
    try {
      await expect(driverOf(nginx).setWeights({ blue: 50, green: 50 })).rejects.toMatchObject(drift);
      for (const [operation, input] of [
        [shift, { to: "green" }],
        [status, {}],
        [init, { version: "blue" }],
      ] as const) {
        await expect(perform(operation, testContext(nginx.settings()), input)).rejects.toMatchObject(drift);
      }
      expect(await readFile(nginx.file, "utf8")).toBe(edited);
    } finally {
      await writeFile(nginx.file, before);
    }
  });

  test.each(["test", "reload"])("killed before its %s, a run is finished by resume", async (point) => {
    await using folder = await mkdtempDisposable(join(tmpdir(), "ops-nginx-kill-"));
    const once = join(folder.path, "once");
    await writeFile(once, "");
    const route = (nginx.settings() as { routes: { web: { test: string[]; reload: string[] } } }).routes.web;
    const killing = (command: string[]) => [
      "/bin/sh",
      "-c",
      `if [ -e "$0" ]; then rm "$0"; kill -9 $PPID; exit 1; fi; exec "$@"`,
      once,
      ...command,
    ];
    const web = { ...route, [point]: killing(point === "test" ? route.test : route.reload) };
    const config = join(folder.path, ".opsrc.json");
    await writeFile(config, JSON.stringify({ routes: { web } }));
    const run = (...args: string[]) => ops([...args, "--yes"], { cwd: folder.path, config });

    const killed = await run("traffic", "shift", "green", "--share", "50%", "--confirm", "0s");
    const between = await driverOf(nginx).weights();
    const written = parseRouteFile(nginx.file, await readFile(nginx.file, "utf8")).weights;
    const resumed = await run("runs", "resume", "last");

    expect(killed.signal).toBe("SIGKILL");
    expect(between).toEqual({ blue: 100, green: 0 });
    expect(written).toEqual({ blue: 50, green: 50 });
    expect(resumed).toMatchObject({ exitCode: 0 });
    expect(await driverOf(nginx).weights()).toEqual({ blue: 50, green: 50 });
    await driverOf(nginx).setWeights({ blue: 100, green: 0 });
  });
});
