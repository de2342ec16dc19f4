import { z } from "zod";
import { OpsError } from "../core/errors.ts";
import { collect } from "../outbox/collect.ts";
import { deliver } from "../outbox/delivery.ts";
import { Outbox } from "../outbox/outbox.ts";
import { sendNotice } from "../outbox/send.ts";
import { defineOperation } from "../run/operation.ts";
import { SqliteJournal } from "../run/sqlite-journal.ts";
import { showNotice, shownNotice } from "./outbox.ts";

const output = z.object({
  attempts: z.array(
    shownNotice.pick({ to: true, about: true, title: true }).extend({
      outcome: z.enum(["delivered", "postponed", "given-up"]),
      answer: z.string().nullable().describe("What the receiver said"),
      problem: z.string().nullable(),
    }),
  ),
  waiting: z.number().describe("Notices that still wait"),
});

const signs = { delivered: "✔", postponed: "!", "given-up": "✖" } as const;

export const flush = defineOperation({
  name: "notify.flush",
  summary: "Send what waits, also what killed runs did not say any more",
  example: "notify flush",
  effect: "change",
  journaled: false,
  input: z.strictObject({
    now: z.boolean().default(false).describe("Also what waits for its next attempt"),
  }),
  output,
  observe: async ({ environment, stateDirectory }) => {
    const opened = Outbox.openToRead(stateDirectory, environment.name);
    const waiting = opened?.notices("waiting").map(showNotice) ?? [];
    opened?.close();
    return waiting.map(({ to, title }) => ({ to, title }));
  },
  plan: (before) =>
    before.map(({ to, title }) => ({
      target: `notification:${to}`,
      action: "run",
      summary: `tell ${to}: ${title}`,
    })),
  apply: async (context, input) => {
    const { environment, stateDirectory, clock, signal } = context;
    const outbox = Outbox.open(stateDirectory, environment.name);
    try {
      if (SqliteJournal.exists(stateDirectory)) {
        const journal = SqliteJournal.openToRead(stateDirectory, clock);
        await collect(context, outbox, journal).finally(() => journal.close());
      }
      const attempts = await deliver(outbox, {
        clock,
        channels: ["notification"],
        signal,
        when: input.now ? "at-once" : "in-time",
        send: (notice, ended) => sendNotice(environment, clock, notice, ended),
      });
      return {
        attempts: attempts.map(({ notice, outcome, answer, problem }) => {
          const { to, about, title } = showNotice(notice);
          return { to, about, title, outcome, answer, problem };
        }),
        waiting: outbox.notices("waiting").length,
      };
    } finally {
      outbox.close();
    }
  },
  failure: ({ attempts }) => {
    const missed = [...new Set(attempts.flatMap(({ outcome, to }) => (outcome === "delivered" ? [] : to)))];
    if (missed.length === 0) return undefined;
    return new OpsError("E_NOTICE", `${missed.join(", ")} could not be told`, {
      hint: "see what waits and why: ops notify outbox",
    });
  },
  render: ({ attempts, waiting }) => {
    const lines = attempts.map(({ to, title, outcome, answer, problem }) =>
      [`${signs[outcome]} ${to}: ${title}`, answer, problem].filter((each) => each !== null).join("; "),
    );
    const left =
      waiting === 0 ? "nothing waits" : `${waiting} ${waiting === 1 ? "notice waits" : "notices wait"}`;
    return [...lines, left].join("\n");
  },
});
