import { appendFile, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe } from "vitest";
import { renderRouteFile } from "../../../src/nginx/route-file.ts";
import { openRoute } from "../../../src/traffic/route.ts";
import { testContext } from "../../support/context.ts";
import { request } from "../../support/haproxy.ts";
import { type Nginx, startNginx } from "../../support/nginx.ts";
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

describe("nginx, by split_clients", () => {
  driverContract(async () => subjectOf(await startNginx("clients")));
});
