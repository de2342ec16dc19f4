import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { expect } from "vitest";
import type { FlagPlace } from "./flag-sources.ts";

const support = (name: string) => fileURLToPath(new URL(name, import.meta.url));

/**
 * Kills a writer at every step of its change, one after the other, until one is through. After each, the source is what
 * it was before or what the change makes of it, whole, its history says the same, and the next writer can go on.
 *
 * @param program the path of `flag-writer.ts`, bundled
 * @returns how many were killed
 */
export async function killAtEveryStep(place: FlagPlace, program: string): Promise<number> {
  const preload = support(place.url === undefined ? "kill-at-file-step.mjs" : "kill-at-statement.mjs");
  const target = place.url ?? `file:${place.file?.slice(place.directory.length + 1)}`;
  for (let step = 1; ; step += 1) {
    for (const when of place.url === undefined ? ["at"] : ["after"]) {
      const before = await triesIn(place);
      const writer = spawnSync(process.execPath, ["--import", preload, program, place.directory, target], {
        env: {
          ...process.env,
          KILL_FOLDER: place.directory,
          KILL_AT_STEP: String(step),
          KILL_AT_STATEMENT: String(step),
          KILL_WHEN: when,
        },
        encoding: "utf8",
      });
      const after = await triesIn(place);
      if (writer.signal === null) {
        expect(writer.status, writer.stderr).toBe(0);
        expect(after).toBe(before + 1);
        return step - 1;
      }
      expect([before, before + 1], `killed ${when} step ${step}`).toContain(after);
    }
  }
}

/** How often both flags were changed: always together, and as often as the history says. */
async function triesIn(place: FlagPlace): Promise<number> {
  const source = place.open();
  try {
    const { flags } = await source.read();
    const [a = 0, b = 0] = ["a", "b"].map((name) => Number(flags.get(name)?.definition.metadata?.tries ?? 0));
    expect(b).toBe(a);
    const history = await source.changes({ limit: 1000 });
    expect(history).toHaveLength(2 * a);
    return a;
  } finally {
    await source.close();
  }
}
