import { z } from "zod";
import type { Environment } from "../config/environment.ts";
import { name } from "../core/schema.ts";
import type { OperationContext } from "../run/context.ts";
import { defineOperation } from "../run/operation.ts";
import { testerNames } from "./canary-input.ts";
import { requireVersion } from "./route.ts";
import { requireTesters, type Testers } from "./testers.ts";

const route = name("The route; default: the only one, or the one called web").optional();

const output = z.object({
  route: z.string(),
  testers: z
    .array(z.object({ tester: z.string(), version: z.string().nullable() }))
    .describe("All of the route; version null: a server that is no version"),
});
type Output = z.output<typeof output>;

/** Tester → version, of those that the operation is about; null where they had none. */
type Before = { route: string; had: { [tester: string]: string | null } };

const targets = ({ route: given }: { route?: string | undefined }, environment: Environment) => [
  `testers:${environment.route(given).name}`,
];

export const addTesters = defineOperation({
  name: "traffic.testers.add",
  summary: "Send users by name to a version of a route, whatever its share is",
  example: "traffic testers add green alice bob",
  effect: "change",
  input: z.strictObject({
    route,
    version: name("The version they get"),
    testers: testerNames.min(1, "needs at least one tester").describe("What their header or cookie says"),
  }),
  positional: ["version", "testers"],
  output,
  targets,
  async observe(context, input): Promise<Before> {
    requireVersion(context.environment.route(input.route), input.version);
    return observed(context, input);
  },
  plan: (before, { version, testers }) =>
    testers
      .filter((tester) => before.had[tester] !== version)
      .map((tester) => ({
        target: `testers:${before.route}`,
        action: before.had[tester] === null ? ("create" as const) : ("update" as const),
        summary: `send ${tester} to ${version}`,
        ...(before.had[tester] != null && { from: before.had[tester] }),
        to: version,
      })),
  async apply(context, { version, testers }, before) {
    const opened = requireTesters(context.environment.route(before.route));
    await opened.add(testers, version, context.signal);
    return listed(before.route, opened, context.signal);
  },
  undo: async (context, _, before) => putBack(context, before),
  render,
});

export const removeTesters = defineOperation({
  name: "traffic.testers.remove",
  summary: "Send testers of a route where everybody else goes",
  example: "traffic testers remove alice",
  effect: "change",
  input: z.strictObject({
    route,
    testers: testerNames.min(1, "needs at least one tester").describe("What their header or cookie says"),
  }),
  positional: ["testers"],
  output,
  targets,
  observe: observed,
  plan: (before, { testers }) =>
    testers
      .filter((tester) => before.had[tester] !== null)
      .map((tester) => ({
        target: `testers:${before.route}`,
        action: "delete" as const,
        summary: `send ${tester} where everybody goes`,
        from: before.had[tester] ?? null,
      })),
  async apply(context, { testers }, before) {
    const opened = requireTesters(context.environment.route(before.route));
    await opened.remove(testers, context.signal);
    return listed(before.route, opened, context.signal);
  },
  undo: async (context, _, before) => putBack(context, before),
  render,
});

export const listTesters = defineOperation({
  name: "traffic.testers.list",
  summary: "Show who gets which version of a route by name",
  example: "traffic testers list --route web",
  effect: "read",
  input: z.strictObject({ route }),
  output,
  observe: async () => null,
  plan: () => [],
  async apply(context, input) {
    const target = context.environment.route(input.route);
    return listed(target.name, requireTesters(target), context.signal);
  },
  render,
});

async function observed(
  context: OperationContext,
  { route: given, testers }: { route?: string | undefined; testers: string[] },
): Promise<Before> {
  const target = context.environment.route(given);
  const opened = requireTesters(target);
  await opened.requireSettable(context.signal);
  const present = await opened.list(context.signal);
  return {
    route: target.name,
    had: Object.fromEntries(testers.map((tester) => [tester, present.get(tester) ?? null])),
  };
}

async function putBack(context: OperationContext, { route: found, had }: Before) {
  const opened = requireTesters(context.environment.route(found));
  for (const [tester, version] of Object.entries(had)) {
    if (version === null) await opened.remove([tester], context.signal);
    else await opened.add([tester], version, context.signal);
  }
  return { undone: true as const, note: `route ${found}: ${Object.keys(had).join(", ")} as before` };
}

async function listed(found: string, testers: Testers, signal: AbortSignal): Promise<Output> {
  const all = [...(await testers.list(signal))].map(([tester, version]) => ({
    tester,
    version: version ?? null,
  }));
  return { route: found, testers: all };
}

function render({ route: found, testers }: Output): string {
  if (testers.length === 0) return `route ${found}: no testers`;
  return testers
    .map(({ tester, version }) => `${tester} gets ${version ?? "a server of no version"}`)
    .join("\n");
}
