import { z } from "zod";
import type { Environment, NotificationTarget } from "../config/environment.ts";
import { columns } from "../core/columns.ts";
import { defineOperation } from "../run/operation.ts";

const output = z.object({
  environment: z.string(),
  notifications: z.array(
    z.object({
      name: z.string(),
      kind: z.string(),
      place: z.string().describe("Where it goes, without what lets one in"),
      rules: z.array(z.string()).describe("The rules that name it"),
      schedules: z.array(z.string()).describe("The schedules that name it"),
    }),
  ),
  rules: z.array(
    z.object({
      name: z.string(),
      events: z.array(z.string()),
      severity: z.string(),
      to: z.array(z.string()),
      environments: z.array(z.string()).nullable(),
      runbooks: z.array(z.string()).nullable(),
      operations: z.array(z.string()).nullable(),
      required: z.boolean(),
    }),
  ),
});

export const list = defineOperation({
  name: "notify.list",
  summary: "Who can be told, and who is told of what",
  example: "notify list",
  effect: "read",
  input: z.strictObject({}),
  output,
  observe: async () => ({}),
  plan: () => [],
  apply: async ({ environment }) => ({
    environment: environment.name,
    notifications: environment.names("notifications").map((name) => ({
      name,
      kind: environment.notification(name).kind,
      place: placeOf(environment.notification(name)),
      rules: environment.notifyRules().flatMap((each) => (each.rule.to.includes(name) ? each.name : [])),
      schedules: schedulesNaming(environment, name),
    })),
    rules: environment.notifyRules().map(({ name, rule }) => ({
      name,
      events: rule.events,
      severity: rule.severity,
      to: rule.to,
      environments: rule.environments ?? null,
      runbooks: rule.runbooks ?? null,
      operations: rule.operations ?? null,
      required: rule.required,
    })),
  }),
  render: ({ notifications, rules }) => {
    if (notifications.length === 0)
      return 'nobody can be told: add somebody under "notifications:" in .opsrc';
    const named = notifications.map(({ name, kind, place, rules: by, schedules }) => [
      name,
      kind,
      place,
      [...by, ...schedules.map((each) => `schedule ${each}`)].join(", ") || "nobody names it",
    ]);
    const told = rules.map(({ name, events, severity, to, required, environments, runbooks, operations }) => [
      name,
      events.join(", "),
      [
        ...(severity === "info" ? [] : [`${severity} and worse`]),
        ...(environments === null ? [] : [`in ${environments.join(", ")}`]),
        ...[...(runbooks ?? []), ...(operations ?? [])],
        ...(required ? ["required"] : []),
      ].join(", ") || "all",
      to.join(", "),
    ]);
    return [
      ...columns([["NOTIFICATION", "KIND", "WHERE", "BY"], ...named], new Set()),
      ...(told.length === 0 ? [] : ["", ...columns([["RULE", "EVENTS", "OF", "TO"], ...told], new Set())]),
    ].join("\n");
  },
});

function schedulesNaming(environment: Environment, name: string): string[] {
  return environment.names("schedules").filter((each) => environment.schedule(each).notify.includes(name));
}

/** A URL's path is often what lets one in: only its host is shown. */
export function placeOf(target: NotificationTarget): string {
  switch (target.kind) {
    case "email":
      return `${target.to.join(", ")} by ${target.host}:${target.port}`;
    case "file":
      return target.file;
    case "command":
      return target.command[0] ?? "";
    default: {
      const { shown } = target.url;
      return URL.canParse(shown) && /^https?:/.test(shown) ? new URL(shown).origin : shown;
    }
  }
}
