import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { testContext } from "../../support/context.ts";
import { writeKubeconfig } from "../../support/kubeconfig.ts";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "ops-place-"));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const place = async (kubeconfig: string) => {
  const versions = { blue: "web-blue", green: "web-green" };
  const web = { driver: "gateway-api", "http-route": "web", kubeconfig, versions };
  return (await testContext({ routes: { web } }).environment.places())["routes.web"];
};

it("the place of an HTTPRoute is its cluster's server, whatever the kubeconfig is called", async () => {
  const one = await writeKubeconfig(folder, { server: "https://one.example.com" }, "one");
  const copy = await writeKubeconfig(folder, { server: "https://one.example.com" }, "copy");
  const two = await writeKubeconfig(folder, { server: "https://two.example.com" }, "two");

  expect(await place(one)).toBe("https://one.example.com shop web  blue web-blue green web-green");
  expect(await place(copy)).toBe(await place(one));
  expect(await place(two)).not.toBe(await place(one));
});

it("it is unknown where the kubeconfig cannot be read", async () => {
  await writeFile(join(folder, "broken"), "users: [");

  expect(await place(join(folder, "broken"))).toBe("unknown");
});
