import { spawn } from "node:child_process";
import { once } from "node:events";
import { cp, rm } from "node:fs/promises";
import { afterAll, beforeAll, expect, it } from "vitest";
import { bundledProgram } from "../../support/bundled-program.ts";
import { perform, RecordingReport } from "../../support/context.ts";
import { Expiring } from "./expiring.ts";
import { operation } from "./setting.ts";

const prune = operation("pitr.prune");
const script = bundledProgram(new URL("./prune-attempt.ts", import.meta.url));
let expiring: Expiring;

beforeAll(async () => {
  expiring = await Expiring.start();
}, 60_000);
afterAll(() => expiring.setting.stop());

async function attempt(input: object, at: number, when: string): Promise<NodeJS.Signals | null> {
  const child = spawn(process.execPath, [script()], {
    env: { ...process.env, KILL_AT: String(at), KILL_WHEN: when },
    stdio: ["pipe", "inherit", "inherit"],
  });
  child.stdin.end(JSON.stringify(input));
  const [, signal] = await once(child, "exit");
  return signal;
}

// Killed behind a removal is killed before the next one, but for the last: every third is enough.
it.each([
  ["before", 1],
  ["after", 3],
])(
  "killed %s any removal, every listed base backup has its log, and the next prune ends at the same",
  async (when, step) => {
    const { setting } = expiring;
    const settings = expiring.settingsIn("pruned");
    const context = setting.context(settings);
    const begin = async () => {
      await rm(setting.wal.path("pruned"), { recursive: true, force: true });
      await cp(setting.wal.path("store"), setting.wal.path("pruned"), { recursive: true });
    };
    await begin();
    await perform(prune, context, {});
    const wanted = await expiring.objects("pruned");

    for (let at = 1; ; at += step) {
      await begin();
      const before = await prune.observe(context, prune.input.parse({}));
      const signal = await attempt({ settings, directory: setting.wal.folder, before }, at, when);

      const { output } = await perform(operation("pitr.base.list"), context, {});
      const { bases } = output as { bases: { id: string; status: string }[] };
      expect(
        bases.map(({ status }) => status),
        `${when} removal ${at}`,
      ).not.toContain("wal-missing");
      expect(bases.map(({ id }) => id)).toContain(expiring.bases[2]);
      if (at % 2 === 0) await prune.apply(context, prune.input.parse({}), before, new RecordingReport());
      else await perform(prune, context, { "leftovers-after": "0s" });
      const left = await expiring.objects("pruned");
      // What a resumed prune leaves of a base backup is cleared as a leftover when it is old enough.
      expect(left.filter((each) => !/^base\/.*(tar|backup_manifest)/.test(each))).toEqual(
        wanted.filter((each) => !/^base\/.*(tar|backup_manifest)/.test(each)),
      );
      await perform(prune, context, { "leftovers-after": "0s" });
      expect(await expiring.objects("pruned"), `${when} removal ${at}`).toEqual(wanted);
      if (signal === null) {
        expect(at).toBeGreaterThan(12);
        return;
      }
      expect(signal).toBe("SIGKILL");
    }
  },
  240_000,
);
