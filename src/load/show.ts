import { z } from "zod";
import { columns } from "../core/columns.ts";
import { formatDuration } from "../core/duration.ts";
import { UsageError } from "../core/errors.ts";
import { name } from "../core/schema.ts";
import { LoadResults, loadResultSchema } from "../measured-series/load-result.ts";
import { defineOperation } from "../run/operation.ts";
import { renderResult } from "./render.ts";
import { unnamed } from "./request.ts";
import { shownRate, shownTime } from "./verdict.ts";

export const show = defineOperation({
  name: "load.show",
  summary: "Show what a load came to the last time",
  example: "load show checkout",
  effect: "read",
  input: z.strictObject({ load: name("The load; default: one that was made by its URL").default(unnamed) }),
  positional: ["load"],
  output: loadResultSchema,
  observe: async () => null,
  plan: () => [],
  async apply(context, { load }) {
    const found = await new LoadResults(context.stateDirectory, context.environment.name).newest(load);
    if (found !== undefined) return found;
    throw new UsageError("E_LOAD_RESULT", `The load ${load} was never made in ${context.environment.name}`, {
      hint: `make it: ops load run ${load}`,
    });
  },
  render: (result) =>
    [
      renderResult(result),
      `made ${result.startedAt} by ${result.actor} on ${result.machine.host}${result.version === null ? "" : `, version ${result.version}`}${result.commit === null ? "" : `, commit ${result.commit.slice(0, 12)}`}`,
    ].join("\n"),
});

const row = z.object({
  load: z.string(),
  target: z.string(),
  users: z.number(),
  durationMs: z.number(),
  newest: loadResultSchema
    .pick({ id: true, startedAt: true, verdict: true, interrupted: true })
    .extend({ p95: z.number().nullable(), throughput: z.number() })
    .nullable(),
});

export const list = defineOperation({
  name: "load.list",
  summary: "List the loads of this environment and what they came to the last time",
  example: "load list",
  effect: "read",
  input: z.strictObject({}),
  output: z.object({ loads: z.array(row) }),
  observe: async () => null,
  plan: () => [],
  async apply({ environment, stateDirectory }) {
    const results = new LoadResults(stateDirectory, environment.name);
    const loads = await Promise.all(
      environment.names("loads").map(async (each) => {
        const { target, users, duration } = environment.load(each);
        const newest = await results.newest(each);
        return {
          load: each,
          target: new URL(target).origin,
          users,
          durationMs: duration,
          newest:
            newest === undefined
              ? null
              : {
                  id: newest.id,
                  startedAt: newest.startedAt,
                  verdict: newest.verdict,
                  interrupted: newest.interrupted,
                  p95: newest.figures.latency.p95,
                  throughput: newest.figures.throughput,
                },
        };
      }),
    );
    return { loads };
  },
  render: ({ loads }) =>
    loads.length === 0
      ? "no loads: add one under loads: in .opsrc"
      : columns(
          loads.map(({ load, target, users, durationMs, newest }) => [
            load,
            target,
            `${users} users`,
            formatDuration(durationMs),
            newest === null
              ? "never made"
              : `${newest.startedAt.slice(0, 16).replace("T", " ")} ${newest.interrupted ? "ended early" : newest.verdict}, p95 ${newest.p95 === null ? "-" : shownTime(newest.p95)}, ${shownRate(newest.throughput)}`,
          ]),
          new Set([2]),
        ).join("\n"),
});
