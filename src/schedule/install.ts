import { z } from "zod";
import { UsageError } from "../core/errors.ts";
import { launcher } from "../process/launcher.ts";
import { runProgram } from "../process/run-program.ts";
import type { OperationContext } from "../run/context.ts";
import { type Change, defineOperation } from "../run/operation.ts";
import { type Call, callOf } from "./call.ts";
import { cronBlock, findBlock, readCrontab, withBlock, writeCrontab } from "./crontab.ts";
import { type Schedule, schedulesOf } from "./schedule.ts";
import {
  installedUnits,
  systemctl,
  timersIn,
  type Units,
  unitFolder,
  unitsOf,
  writeUnits,
} from "./systemd.ts";
import { runbookOf } from "./work.ts";

const cron = z.boolean().default(false).describe("In this user's crontab");
const systemd = z.boolean().default(false).describe("As timers of this user's systemd");
const start = z.boolean().default(true).describe("With --systemd: also stop and start the timers now");

/** What is there and what should be there, for one configuration and environment. Null: nothing. */
type Before = { readonly file: string; readonly environment: string } & (
  | { readonly kind: "cron"; readonly previous: string | null; readonly wanted: string | null }
  | { readonly kind: "systemd"; readonly folder: string; readonly previous: Units; readonly wanted: Units }
);

interface Where {
  readonly cron: boolean;
  readonly systemd: boolean;
}

export const install = defineOperation({
  name: "schedule.install",
  summary: "Let cron or systemd call run-due every minute",
  example: "schedule install --cron",
  effect: "change",
  input: z.strictObject({
    cron,
    systemd,
    start,
    "variables-file": z
      .string()
      .optional()
      .describe("File of NAME=value lines: the environment variables that secrets come from"),
  }),
  output: z.object({
    where: z.string(),
    schedules: z.array(z.string()),
    started: z.boolean().describe("Whether it is called from now on; not with --no-start"),
    missing: z.array(z.string()).describe("Variables of secrets that cron or systemd will not have"),
  }),
  targets: ({ cron: inCron }) => [inCron ? "schedule:crontab" : "schedule:systemd"],
  observe: async (context, input): Promise<Before> => {
    refuseBoth(input, "install");
    const schedules = schedulesOf(context.environment, [], context.clock.now());
    // Watches that are left behind need nothing but the tick.
    const hasWatches = input.cron && context.environment.names("watches").length > 0;
    if (schedules.length === 0 && !hasWatches) {
      throw new UsageError("E_TARGET", `The environment ${context.environment.name} has no schedule`, {
        hint: 'add one under "schedules:" in .opsrc (see .opsrc.example); for cron alone a watch under "watches:" will do',
      });
    }
    for (const each of schedules) await requireRunbook(context, each);
    const call = callOf(context, input["variables-file"]);
    const names = schedules.map((each) => each.name);
    return observed(call, input, cronBlock(call), unitsOf(call, names));
  },
  plan: (before) => changes(before),
  apply: async (context, input, before) => {
    await put(before, before.wanted, input.start);
    const variables = input["variables-file"] === undefined ? context.environment.variables() : [];
    return {
      where: before.kind === "cron" ? "crontab" : before.folder,
      schedules: context.environment.names("schedules"),
      started: before.kind === "cron" || input.start,
      missing: variables,
    };
  },
  undo: async (_context, input, before) => {
    await put(before, before.previous, input.start);
    return { undone: true };
  },
  render: ({ where, schedules, started, missing }) =>
    [
      started
        ? `run-due is called every minute from ${where}, for ${schedules.join(", ") || "watches that are left behind"}`
        : `the units of ${schedules.join(", ")} are in ${where}: systemctl --user enable --now their timers`,
      ...(missing.length === 0
        ? []
        : [
            `! secrets come from ${missing.join(", ")}, which cron and systemd do not have: add --variables-file FILE, or write file: or cmd: references`,
          ]),
    ].join("\n"),
});

export const uninstall = defineOperation({
  name: "schedule.uninstall",
  summary: "Take run-due out of cron or systemd again",
  example: "schedule uninstall --cron",
  effect: "change",
  input: z.strictObject({ cron, systemd, start }),
  output: z.object({ where: z.string(), removed: z.boolean() }),
  targets: ({ cron: inCron }) => [inCron ? "schedule:crontab" : "schedule:systemd"],
  observe: async (context, input): Promise<Before> => {
    refuseBoth(input, "uninstall");
    return observed(callOf(context, undefined), input, null, {});
  },
  plan: (before) => changes(before),
  apply: async (_context, input, before) => {
    await put(before, before.wanted, input.start);
    return {
      where: before.kind === "cron" ? "crontab" : before.folder,
      removed: changes(before).length > 0,
    };
  },
  undo: async (_context, input, before) => {
    await put(before, before.previous, input.start);
    return { undone: true };
  },
  render: ({ where, removed }) =>
    removed ? `run-due is no longer called from ${where}` : `run-due was not called from ${where}`,
});

function refuseBoth(where: Where, verb: string): void {
  if (where.cron !== where.systemd) return;
  throw new UsageError("E_INPUT", "Say where: in cron or in systemd", {
    hint: `ops schedule ${verb} --cron, or ops schedule ${verb} --systemd`,
  });
}

/** A schedule whose runbook is wrong must show now, and not at three in the morning. */
async function requireRunbook(context: OperationContext, schedule: Schedule): Promise<void> {
  const [node, ops] = launcher();
  const args = [ops, "runbook", "validate", runbookOf(context, schedule)];
  const { exitCode, stderr } = await runProgram(node, args, { signal: context.signal });
  if (exitCode === 0) return;
  throw new UsageError("E_SCHEDULE_RUNBOOK", `What the schedule ${schedule.name} runs is not valid`, {
    cause: `\n${stderr.trim()}`,
    hint: `mend schedules.${schedule.name} in .opsrc, or its runbook`,
  });
}

async function observed(call: Call, where: Where, block: string | null, units: Units): Promise<Before> {
  const { file, environment } = call;
  if (where.cron) {
    const previous = findBlock(await readCrontab(), call) ?? null;
    return { kind: "cron", file, environment, previous, wanted: block };
  }
  const folder = unitFolder();
  return {
    kind: "systemd",
    file,
    environment,
    folder,
    previous: installedUnits(folder, call),
    wanted: units,
  };
}

/** Where files or lines change. */
function changes(before: Before): Change[] {
  if (before.kind === "cron") {
    const { previous, wanted } = before;
    return previous === wanted ? [] : [change("crontab", previous, wanted)];
  }
  const names = [...new Set([...Object.keys(before.previous), ...Object.keys(before.wanted)])].sort();
  return names.flatMap((name) => {
    const [from, to] = [before.previous[name] ?? null, before.wanted[name] ?? null];
    return from === to ? [] : [change(name, from, to)];
  });
}

function change(what: string, from: string | null, to: string | null): Change {
  const action = from === null ? "create" : to === null ? "delete" : "update";
  const verb = { create: "write", delete: "remove", update: "rewrite" }[action];
  const lines = (to ?? "").trimEnd();
  const shown =
    what === "crontab" ? `the lines of ops in the crontab${to === null ? "" : `:\n${lines}`}` : what;
  return { target: `schedule:${what}`, action, summary: `${verb} ${shown}` };
}

/** Safe to call again: it compares with what is there. */
async function put(before: Before, wanted: string | Units | null, startNow: boolean): Promise<void> {
  if (before.kind === "cron") {
    const crontab = await readCrontab();
    const next = withBlock(crontab, before, typeof wanted === "string" ? wanted : undefined);
    if (next !== crontab) await writeCrontab(next);
    return;
  }
  const units = (wanted ?? {}) as Units;
  const there = installedUnits(before.folder, before);
  const nothing = Object.keys(there).length === 0 && Object.keys(units).length === 0;
  if (nothing) return;
  // First, so that nothing is written where there is no systemd to read it.
  if (startNow) await systemctl("daemon-reload");
  const gone = timersIn(there).filter((each) => !Object.hasOwn(units, each));
  // While their files are there: systemd cannot stop what it does not know.
  if (startNow && gone.length > 0) await systemctl("disable", "--now", ...gone);
  writeUnits(before.folder, before, units);
  if (!startNow) return;
  await systemctl("daemon-reload");
  const timers = timersIn(units);
  if (timers.length > 0) await systemctl("enable", "--now", ...timers);
}
