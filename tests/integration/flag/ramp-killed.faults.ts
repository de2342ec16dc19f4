import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, onTestFinished, test } from "vitest";
import type { FlagDefinition } from "../../../src/flag-source/definition.ts";
import { booleanFlag } from "../../../src/flag-source/simple-flag.ts";
import { contextOf, flag, storedFlag } from "../../support/flag-operations.ts";
import { filePlace } from "../../support/flag-sources.ts";
import { ops } from "../../support/ops.ts";

const hook = fileURLToPath(new URL("../../support/kill-at-file-step.mjs", import.meta.url));
/** Shares that the flag may have had when its ramp died. */
const shares = [0, 40, 100];
/** The steps at which it is killed, of about 27 file changes of a ramp with two steps: each third one. */
const points = Array.from({ length: 9 }, (_, index) => 1 + 3 * index);

test("a ramp killed with SIGKILL at its file changes leaves one of its steps, whole, and is resumed or taken back", async () => {
  let killed = 0;
  for (const [index, point] of points.entries()) {
    const place = await filePlace("flags.json");
    onTestFinished(() => place.remove());
    const config = join(place.directory, "opsrc.yaml");
    await writeFile(config, JSON.stringify({ "flag-sources": { main: place.settings } }));
    await flag(contextOf(place), "set", { flag: "checkout", rollout: "0%", state: "on" });
    const before = await storedFlag(place, "checkout");
    const cli = { config, cwd: place.directory };
    const words = [
      "flag",
      "ramp",
      "checkout",
      "--steps",
      "40%,100%",
      "--bake",
      "0s",
      "--on-crash",
      "hold",
      "--yes",
    ];
    const env = {
      NODE_OPTIONS: `--import ${hook}`,
      KILL_FOLDER: place.directory,
      KILL_AT_STEP: String(point),
    };

    const first = await ops(words, { ...cli, env });
    const left = await storedFlag(place, "checkout");

    expect(
      shares.map((share) => targetingOf(booleanFlag(share, {}))),
      `killed at ${point}`,
    ).toContain(targetingOf(left));
    if (first.signal !== "SIGKILL") continue;
    killed += 1;
    const isResumed = index % 2 === 0;
    const next = await ops(["runs", isResumed ? "resume" : "rollback", "last", "--yes"], cli);
    expect(next, `killed at ${point}`).toMatchObject({ exitCode: 0 });
    const expected = isResumed ? booleanFlag(100, {}) : before;
    expect(targetingOf(await storedFlag(place, "checkout")), `killed at ${point}`).toBe(
      targetingOf(expected),
    );
  }
  expect(killed).toBeGreaterThan(7);
});

const targetingOf = (definition: FlagDefinition | undefined) =>
  JSON.stringify([definition?.targeting, definition?.defaultVariant]);
