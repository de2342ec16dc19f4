import { afterAll, beforeAll, describe, it } from "vitest";
import { ChainSetting } from "./chain-setting.ts";

let chain: ChainSetting;

beforeAll(async () => {
  chain = await ChainSetting.start();
}, 120_000);
afterAll(() => chain?.stop());

describe("a restore of a chain that is killed with SIGKILL", () => {
  for (const moment of ["unpacking", "combining", "combined"] as const) {
    it(`while ${moment}: goes on`, () => chain.killRestore(moment, "resume"), 120_000);
    it(
      `while ${moment}: leaves nothing once it is taken back`,
      () => chain.killRestore(moment, "rollback"),
      120_000,
    );
  }
});
