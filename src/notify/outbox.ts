import { z } from "zod";
import { columns } from "../core/columns.ts";
import { formatDuration } from "../core/duration.ts";
import type { Message } from "../notifier/message.ts";
import { type Notice, Outbox } from "../outbox/outbox.ts";
import { defineOperation } from "../run/operation.ts";

export const shownNotice = z.object({
  to: z.string().describe("The notification, or the ping of a schedule"),
  about: z.string().describe("The run or the schedule"),
  event: z.string(),
  title: z.string(),
  state: z.enum(["waiting", "delivered", "given-up"]),
  since: z.string().describe("When it was written, UTC"),
  attempts: z.number(),
  nextAt: z.string().nullable().describe("Not tried again before, UTC"),
  problem: z.string().nullable(),
});
type ShownNotice = z.output<typeof shownNotice>;

export const outbox = defineOperation({
  name: "notify.outbox",
  summary: "Notices that wait to be sent, and those that were given up",
  example: "notify outbox",
  effect: "read",
  input: z.strictObject({
    all: z.boolean().default(false).describe("Also what was delivered, for thirty days"),
  }),
  output: z.object({ environment: z.string(), at: z.string(), notices: z.array(shownNotice) }),
  observe: async () => ({}),
  plan: () => [],
  apply: async ({ environment, stateDirectory, clock }, input) => {
    const at = clock.now().toISOString();
    const opened = Outbox.openToRead(stateDirectory, environment.name);
    try {
      const all = opened?.notices() ?? [];
      const wanted = input.all ? all : all.filter(({ state }) => state !== "delivered");
      return { environment: environment.name, at, notices: wanted.map(showNotice) };
    } finally {
      opened?.close();
    }
  },
  render: ({ notices, at }) => {
    if (notices.length === 0) return "nothing waits";
    const rows = notices.map(({ to, title, state, attempts, since, nextAt, problem }) => [
      to,
      state,
      title,
      `${formatDuration(Math.max(0, Date.parse(at) - Date.parse(since)))} ago`,
      String(attempts),
      [
        ...(nextAt === null || nextAt <= at ? [] : [`again at ${nextAt.slice(11, 19)}`]),
        ...(problem === null ? [] : [problem]),
      ].join(", "),
    ]);
    return columns([["TO", "STATE", "NOTICE", "SINCE", "TRIES", ""], ...rows], new Set([4])).join("\n");
  },
});

export function showNotice(notice: Notice): ShownNotice {
  const { channel, target, source, state, attempts, problem, createdAt, notBefore } = notice;
  const isPing = channel === "ping";
  const message = notice.body as Message | null;
  return {
    to: isPing ? `ping ${target}` : target,
    about: source,
    event: message?.event ?? "ping",
    title: message?.title ?? `ping of ${source}`,
    state,
    since: iso(createdAt),
    attempts,
    nextAt: state === "waiting" ? iso(notBefore) : null,
    problem,
  };
}

function iso(ms: number): string {
  return new Date(ms).toISOString();
}
