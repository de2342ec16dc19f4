import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { CrashMatrix, type KillPoint } from "./crash-matrix.ts";
import type { DeployState } from "./deploy-state.ts";

/**
 * Every entry of deploy.yaml's journal, killed before or after it. A file for each, so that both work side by side. What
 * is finished where it was killed before an entry is taken back where it was killed after it, and the other way round for
 * the next one; with OPS_TEST_BOTH_WAYS each is done both ways, which takes twice as long.
 */
export function crashSeries(when: KillPoint["when"]): void {
  describe(`a deploy killed ${when} an entry of its journal`, () => {
    let matrix: CrashMatrix;
    let undisturbed: DeployState;
    let rolledBack: DeployState;
    let entries: number;

    beforeAll(async () => {
      matrix = await CrashMatrix.start();
      await matrix.reset();
      expect(await matrix.deploy()).toMatchObject({ exitCode: 0 });
      undisturbed = await matrix.state();
      entries = await matrix.entries();
      expect(await matrix.ops(["runs", "rollback", "last", "--yes"])).toMatchObject({ exitCode: 0 });
      rolledBack = await matrix.state();
      expect(entries).toBeGreaterThan(30);
    });

    afterAll(async () => {
      await matrix.stop();
    });

    test("resume finishes it, as if nothing had happened", async () => {
      for (const point of points(entries, when, "resume")) {
        await matrix.reset();
        expect(await matrix.deployKilled(point), JSON.stringify(point)).toMatchObject({ signal: "SIGKILL" });
        const resumed = await matrix.ops(["runs", "resume", "last", "--yes"]);
        expect(resumed, `${JSON.stringify(point)}\n${resumed.stderr}`).toMatchObject({ exitCode: 0 });
        expect(await matrix.state(), JSON.stringify(point)).toEqual(undisturbed);
      }
    });

    test("roll-back takes it back to where it began", async () => {
      for (const point of points(entries, when, "rollback")) {
        await matrix.reset();
        expect(await matrix.deployKilled(point), JSON.stringify(point)).toMatchObject({ signal: "SIGKILL" });
        const back = await matrix.ops(["runs", "rollback", "last", "--yes"]);
        expect(back, `${JSON.stringify(point)}\n${back.stderr}`).toMatchObject({ exitCode: 0 });
        const { ddl: _, ...state } = await matrix.state();
        const { ddl: __, ...expected } = rolledBack;
        expect(state, JSON.stringify(point)).toEqual(expected);
      }
    });
  });
}

/** Before its first entry a run does not exist: there is nothing to resume. */
function points(entries: number, when: KillPoint["when"], way: "resume" | "rollback"): KillPoint[] {
  const bothWays = process.env.OPS_TEST_BOTH_WAYS !== undefined;
  const parity = (when === "before") === (way === "resume") ? 0 : 1;
  return Array.from({ length: entries }, (_, index) => ({ entry: index + 1, when }))
    .filter(({ entry }) => entry > 1 || when === "after")
    .filter(({ entry }) => bothWays || entry % 2 === parity);
}
