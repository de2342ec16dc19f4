import { rm } from "node:fs/promises";
import { stopCluster } from "../../../../src/postgres/cluster.ts";
import { perform } from "../../../support/context.ts";
import { operation, type PitrSetting, queryPort, type Restored } from "../setting.ts";
import type { Target } from "./targets.ts";
import { digestOf } from "./writer.ts";

/** What a restore has that it should not, and the other way round; empty where it is as it was. */
export interface Difference {
  readonly target: Target["input"];
  readonly why: string;
}

/** Restores to each target as the command does, `atOnce` at a time, and compares every row. */
export async function differences(
  setting: PitrSetting,
  targets: readonly Target[],
  atOnce: number,
): Promise<Difference[]> {
  const queue = targets.values();
  const found: Difference[] = [];
  const worker = async () => {
    for (const target of queue) {
      const why = await difference(setting, target);
      if (why !== undefined) found.push({ target: target.input, why });
    }
  };
  await Promise.all(Array.from({ length: atOnce }, worker));
  return found;
}

async function difference(setting: PitrSetting, { input, rows }: Target): Promise<string | undefined> {
  const folder = setting.newFolder();
  try {
    const { output } = await perform(operation("pitr.restore"), setting.context(), {
      "target-dir": folder,
      start: true,
      ...input,
    });
    const { port } = output as Restored;
    const restored = await queryPort<{ n: number; right: boolean }>(
      port,
      `SELECT n, digest = ${digestOf("n")} AS right FROM ledger ORDER BY n`,
    );
    const half = await queryPort<{ writer: number }>(
      port,
      `SELECT writer FROM totals FULL JOIN (SELECT writer, count(*) AS rows, sum(n) AS sum FROM ledger GROUP BY 1) l
       USING (writer) WHERE (totals.rows, totals.sum) IS DISTINCT FROM (l.rows, l.sum)`,
    );
    const numbers = new Set(restored.map((each) => each.n));
    const wanted = new Set(rows);
    const parts = [
      ["too many", restored.flatMap(({ n }) => (wanted.has(n) ? [] : [n]))],
      ["missing", rows.filter((each) => !numbers.has(each))],
      ["changed", restored.flatMap(({ n, right }) => (right ? [] : [n]))],
      ["half a transaction of writer", half.map(({ writer }) => writer)],
    ] as const;
    const wrong = parts.filter(([, list]) => list.length > 0);
    return wrong.length === 0
      ? undefined
      : wrong.map(([what, list]) => `${what}: ${list.slice(0, 10).join(" ")} (${list.length})`).join("; ");
  } catch (error) {
    return error instanceof Error ? `${error.message} (${String(error.cause ?? "")})` : String(error);
  } finally {
    await stopCluster(folder);
    for (const each of [folder, `${folder}.tablespaces`, `${folder}.log`, `${folder}.ops-restore`])
      await rm(each, { recursive: true, force: true, maxRetries: 50 });
  }
}
