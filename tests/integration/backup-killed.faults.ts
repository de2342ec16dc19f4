import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { KilledBackups, type KillPoint } from "./killed-backups.ts";

let killed: KilledBackups;
beforeAll(async () => {
  killed = await KilledBackups.start();
});
afterAll(() => killed.stop());

const create = ["backup", "create", "--stores", "local,offsite", "--jobs", "2", "--split-from", "1MiB"];

/** So many of 1 … last, evenly spread. */
const spread = (last: number, count: number) =>
  Array.from({ length: count }, (_, index) => Math.max(1, Math.round(((index + 1) * last) / count)));

describe("backup create to two stores with two jobs, killed with SIGKILL", () => {
  it("at 50 points: lists only what is whole, is finished or taken back, and leaves nothing after a prune", async () => {
    const { changes, took } = await killed.measure(create);
    expect(changes).toBeGreaterThan(30);
    const points: KillPoint[] = [
      ...spread(changes, 24).map((change) => ({ change, when: "before" as const })),
      ...spread(changes, 8).map((change) => ({ change, when: "sent" as const })),
      ...spread(8, 8).map((entry) => ({
        entry,
        when: entry % 2 === 0 ? ("before" as const) : ("after" as const),
      })),
      ...spread(Math.round(took), 10).map((after) => ({ after })),
    ];
    expect(points.length).toBe(50);
    await killed.empty();
    let interrupted = 0;
    for (const [index, point] of points.entries()) {
      const where = JSON.stringify(point);
      const { signal } = await killed.killed(create, point);
      if (signal === "SIGKILL") interrupted += 1;
      const before = await killed.listed();
      const way = ["resume", "rollback", "prune only"][index % 3];
      const run = signal === "SIGKILL" && way !== "prune only" && (await killed.unfinished());
      if (run) {
        const mended = await killed.run(["runs", way ?? "", "last"]);
        expect(mended.exitCode, `${where}: ${mended.stderr}`).toBe(0);
      }
      if (signal === null || (run && way === "resume")) {
        const { local, offsite } = await killed.listed();
        expect([local.length, offsite], where).toEqual([1, local]);
      }
      if (run && way === "rollback") expect(await killed.listed(), where).toEqual(before);
      await killed.prune();
      const kept = await killed.listed();
      expect(await killed.remains(kept), where).toEqual([]);
      await killed.empty();
    }
    expect(interrupted).toBeGreaterThan(30);
  });
});
