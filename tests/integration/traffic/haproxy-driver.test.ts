import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { describe } from "vitest";
import { runtimeCommand } from "../../../src/haproxy/runtime-socket.ts";
import { type Balancer, request, startBalancer } from "../../support/haproxy.ts";
import { type ContractSubject, driverContract } from "./driver-contract.ts";

describe("HAProxy", () => {
  driverContract(async () => subjectOf(await startBalancer()));
});

function subjectOf(balancer: Balancer): ContractSubject {
  return {
    settings: () => balancer.settings(),
    answer: async () => (await request(balancer.port)).body,
    async rest() {
      const file = await readFile(join(balancer.directory, "haproxy.cfg"), "utf8");
      return `${file}\n${withoutWeights(await runtimeCommand(balancer.socket, "show servers state"))}`;
    },
    meddle: () => balancer.setWeight("green", 33),
    async reset() {
      await balancer.setWeight("blue", 100);
      await balancer.setWeight("green", 0);
    },
    refuseSets: async () => ({
      settings: balancer.settings({ socket: `${balancer.socket}-user` }),
      end: async () => undefined,
    }),
    async goAway() {
      await balancer.kill();
      return () => balancer.run();
    },
    [Symbol.asyncDispose]: () => balancer[Symbol.asyncDispose](),
  };
}

/** Of `show servers state` what neither weights nor time change. */
function withoutWeights(state: string): string {
  const lines = state.split("\n").filter((line) => line !== "");
  const columns =
    lines
      .find((line) => line.startsWith("# "))
      ?.split(" ")
      .slice(1) ?? [];
  const volatile = ["srv_uweight", "srv_time_since_last_change", "srv_check_result", "srv_check_health"];
  return lines
    .map((line) =>
      line
        .split(" ")
        .filter((_, index) => !volatile.includes(columns[index] ?? ""))
        .join(" "),
    )
    .join("\n");
}
