import { afterAll, beforeAll, expect, it } from "vitest";
import { perform } from "../support/context.ts";
import { operation } from "./backup-setting.ts";
import { KilledBackups } from "./killed-backups.ts";

let killed: KilledBackups;
beforeAll(async () => {
  killed = await KilledBackups.start();
});
afterAll(() => killed.stop());

it("backup copy, killed at 12 points, is finished or taken back, and leaves nothing after a prune", async () => {
  const { output } = await perform(operation("backup.create"), killed.context, { store: "local" });
  const { id } = output as { id: string };
  const copy = ["backup", "copy", id, "--from", "local", "--to", "offsite"];
  const { changes } = await killed.measure(copy);
  await killed.emptyBucket();
  for (let index = 0; index < 12; index += 1) {
    const point = {
      change: Math.max(1, Math.ceil(((index + 1) * changes) / 12)),
      when: index % 2 === 0 ? ("before" as const) : ("sent" as const),
    };
    const where = JSON.stringify(point);
    expect((await killed.killed(copy, point)).signal, where).toBe("SIGKILL");
    await killed.listed();
    const way = ["resume", "rollback", "prune only"][index % 3];
    if (way !== "prune only" && (await killed.unfinished())) {
      const mended = await killed.run(["runs", way ?? "", "last"]);
      expect(mended.exitCode, `${where}: ${mended.stderr}`).toBe(0);
      if (way === "resume") expect(await killed.listed(), where).toEqual({ local: [id], offsite: [id] });
    }
    await killed.prune();
    expect(await killed.remains(await killed.listed()), where).toEqual([]);
    await killed.emptyBucket();
  }
  await killed.empty();
});
