import { z } from "zod";
import type { Change, Operation } from "../run/operation.ts";
import { defineOperation } from "../run/operation.ts";
import { checkSocketPath } from "./balancer-config.ts";
import { folderState } from "./description.ts";
import { takeDown } from "./down.ts";
import { sandboxLayout } from "./layout.ts";
import { sandboxProcesses, stopProcesses } from "./processes.ts";
import { notUp, resetSandbox } from "./reset.ts";
import { renderStatus, sandboxStatus, statusSchema } from "./status.ts";
import { bringUp } from "./up.ts";

/* These need no configuration: a sandbox is where the first one comes from. */

const input = z.strictObject({
  dir: z.string().min(1, "must not be empty").default(".ops/sandbox").describe("Folder of the sandbox"),
});

type Before = { directory: string; state: "absent" | "up" | "broken" };

async function observed(dir: string): Promise<Before> {
  const { directory, state } = await sandboxStatus(sandboxLayout(dir));
  return { directory, state };
}

function change(before: { directory: string }, action: Change["action"], summary: string): Change {
  return { target: `sandbox:${before.directory}`, action, summary };
}

const targets = ({ dir }: { dir: string }) => [`sandbox:${sandboxLayout(dir).directory}`];

const up = defineOperation({
  name: "sandbox.up",
  summary: "Start a throw-away PostgreSQL, HAProxy and two versions of a sample application",
  example: "sandbox up",
  effect: "change",
  journaled: false,
  input,
  output: statusSchema,
  targets,
  observe: async (_context, { dir }) => {
    checkSocketPath(sandboxLayout(dir));
    return observed(dir);
  },
  plan: (before) => {
    const create = change(before, "create", `start a sandbox in ${before.directory}`);
    const remove = change(before, "delete", `remove the broken sandbox in ${before.directory}`);
    return { absent: [create], broken: [remove, create], up: [] }[before.state];
  },
  apply: async (context, { dir }, _before, report) => {
    const layout = sandboxLayout(dir);
    const status = await sandboxStatus(layout);
    if (status.state === "up") {
      report.log(`The sandbox in ${layout.directory} is up already`);
      return status;
    }
    // Also where there is no folder: processes of a sandbox whose folder somebody removed would be left behind.
    await takeDown(layout);
    try {
      await bringUp(context, layout, report);
    } catch (error) {
      // The error says what went wrong; what was started must not stay behind, but its logs tell why.
      await stopProcesses(layout);
      throw error;
    }
    return sandboxStatus(layout);
  },
  undo: async (_context, { dir }, before) => {
    if (before.state !== "absent") return { undone: "kept", note: "there was a sandbox before" };
    await takeDown(sandboxLayout(dir));
    return { undone: true };
  },
  render: renderStatus,
});

const status = defineOperation({
  name: "sandbox.status",
  summary: "Show the sandbox's processes, ports, health and URLs",
  example: "sandbox status",
  effect: "read",
  input,
  output: statusSchema,
  observe: async () => null,
  plan: () => [],
  apply: (_context, { dir }) => sandboxStatus(sandboxLayout(dir)),
  render: renderStatus,
});

const down = defineOperation({
  name: "sandbox.down",
  summary: "Stop the sandbox's processes and remove its folder",
  example: "sandbox down",
  effect: "destroy",
  journaled: false,
  input,
  output: z.object({ directory: z.string(), stoppedProcesses: z.number() }),
  targets,
  // Not the status: what another version left behind must come down too.
  observe: async (_context, { dir }) => {
    const layout = sandboxLayout(dir);
    const folder = await folderState(layout);
    return { directory: layout.directory, folder, processes: (await sandboxProcesses(layout)).length };
  },
  plan: (before) =>
    before.folder === "absent" && before.processes === 0
      ? []
      : [change(before, "delete", `remove the sandbox in ${before.directory}`)],
  apply: async (_context, { dir }, before, report) => {
    const layout = sandboxLayout(dir);
    const stoppedProcesses = await takeDown(layout);
    if (before.folder === "absent" && stoppedProcesses === 0) {
      report.log(`There is no sandbox in ${layout.directory}`);
    }
    return { directory: layout.directory, stoppedProcesses };
  },
  render: ({ directory, stoppedProcesses }) =>
    `No sandbox in ${directory} any more (${stoppedProcesses} processes stopped)`,
});

const reset = defineOperation({
  name: "sandbox.reset",
  summary: "Put the sandbox back into the state right after its start",
  example: "sandbox reset",
  effect: "destroy",
  journaled: false,
  input,
  output: statusSchema,
  targets,
  observe: async (_context, { dir }) => {
    const before = await observed(dir);
    if (before.state === "absent") throw notUp(sandboxLayout(dir));
    return before;
  },
  plan: (before) => [
    change(
      before,
      "update",
      "database, weights, faults, flags, backups and journal as right after the start",
    ),
  ],
  apply: async (context, { dir }) => {
    const layout = sandboxLayout(dir);
    await resetSandbox(context, layout);
    return sandboxStatus(layout);
  },
  render: renderStatus,
});

export const operations: readonly Operation[] = [up, status, down, reset];
