import { afterAll, beforeAll, expect, it } from "vitest";
import { History } from "./truth/history.ts";
import { Random } from "./truth/random.ts";
import { differences } from "./truth/restores.ts";
import { Targets } from "./truth/targets.ts";

let history: History;
const random = new Random(Number(process.env.OPS_TRUTH_SEED ?? 1));

beforeAll(async () => {
  history = await History.live(random, 0.7);
}, 120_000);
afterAll(() => history?.stop());

it("three restores of a life with a crash and a lost server have exactly the rows committed by then", async () => {
  const targets = new Targets(history, random);

  targets.check();
  expect(targets.leftBehind.length).toBeGreaterThan(0);
  expect(await differences(history.setting, targets.pick(3), 2)).toEqual([]);
}, 120_000);
