import { afterAll, beforeAll, expect, it } from "vitest";
import { History } from "./truth/history.ts";
import { Random } from "./truth/random.ts";
import { differences } from "./truth/restores.ts";
import { Targets } from "./truth/targets.ts";

let history: History;
/** `OPS_TRUTH_SEED=… npx vitest run -c vitest.faults.config.ts truth` picks the same disturbances and targets again. */
const random = new Random(Number(process.env.OPS_TRUTH_SEED ?? Date.now()));
const again = `OPS_TRUTH_SEED=${random.seed}`;
/** Of each of the six parts of the cluster's life. */
const seconds = Number(process.env.OPS_TRUTH_SECONDS ?? 8);

beforeAll(async () => {
  history = await History.live(random, seconds);
}, 600_000);
afterAll(() => history?.stop());

it("fifty restores to moments, positions, names and transactions have exactly the rows committed by then", async () => {
  const targets = new Targets(history, random);
  targets.check();
  const picked = targets.pick(50);

  expect(targets.leftBehind.length).toBeGreaterThan(0);
  expect(await differences(history.setting, picked, 2), again).toEqual([]);
});
