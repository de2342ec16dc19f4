import { randomUUID } from "node:crypto";
import { hostname } from "node:os";
import { z } from "zod";
import type { Environment } from "../config/environment.ts";
import { OpsError } from "../core/errors.ts";
import { name } from "../core/schema.ts";
import { type Message, messageId } from "../notifier/message.ts";
import { sendMessage } from "../notifier/send.ts";
import type { Sent } from "../notifier/sent.ts";
import type { OperationContext } from "../run/context.ts";
import { defineOperation } from "../run/operation.ts";
import { placeOf } from "./list.ts";

const output = z.object({
  notification: z.string(),
  kind: z.string(),
  place: z.string(),
  sent: z.boolean(),
  answers: z.array(z.string()).describe("What the receiver said"),
  problem: z.string().nullable(),
});

export const test = defineOperation({
  name: "notify.test",
  summary: "Send a test notice and show what the receiver says",
  example: "notify test team",
  effect: "change",
  journaled: false,
  input: z.strictObject({ notification: name("The notification's name in .opsrc") }),
  positional: ["notification"],
  output,
  observe: async ({ environment }, { notification }) => {
    const target = environment.notification(notification);
    return { kind: target.kind, place: placeOf(target) };
  },
  plan: ({ kind, place }, { notification }) => [
    {
      target: `notification:${notification}`,
      action: "run",
      summary: `send a test notice to ${kind} ${place}`,
    },
  ],
  apply: async (context, { notification }, { kind, place }) => {
    const sent = await sendTests(context, notification);
    const problems = sent.flatMap((each) => (each.sent ? (each.remark ?? []) : each.problem));
    return {
      notification,
      kind,
      place,
      sent: sent.every((each) => each.sent),
      answers: sent.flatMap((each) => (each.sent ? each.answer : [])),
      problem: problems.length === 0 ? null : problems.join("; "),
    };
  },
  failure: ({ sent, notification, problem }) =>
    sent
      ? undefined
      : new OpsError("E_NOTICE", problem ?? `${notification} could not be told`, {
          hint: `correct "notifications: ${notification}:" in .opsrc, or see to the receiver, and try again`,
        }),
  render: ({ notification, kind, place, answers, problem }) =>
    [
      ...answers.map((each) => `✔ ${notification} (${kind}, ${place}) was told: ${each}`),
      ...(problem !== null && answers.length > 0 ? [`! ${problem}`] : []),
    ].join("\n"),
});

/** A pager gets an incident and its end at once; everybody else one notice. */
async function sendTests(context: OperationContext, notification: string): Promise<Sent[]> {
  const { environment, clock, signal } = context;
  const target = environment.notification(notification);
  const steps: readonly Message["incident"][] = target.kind === "pagerduty" ? ["trigger", "resolve"] : [null];
  const key = `test/${randomUUID()}`;
  const sent: Sent[] = [];
  for (const incident of steps) {
    const now = clock.now();
    const message = testMessage(environment, context.actor, now, key, incident);
    const id = messageId(environment.name, `${key}/${incident}`);
    const one = await sendMessage(target, message, id, now.getTime(), signal);
    sent.push(one);
    if (!one.sent) break;
  }
  return sent;
}

function testMessage(
  environment: Environment,
  actor: string,
  now: Date,
  subject: string,
  incident: Message["incident"],
): Message {
  return {
    event: "test",
    severity: "info",
    title: `test notice of ops for ${environment.name}`,
    text: "Nothing happened. Somebody tries whether notices get here.",
    environment: environment.name,
    host: hostname(),
    at: now.toISOString(),
    subject,
    incident,
    command: "ops notify list",
    facts: [{ name: "by", value: actor }],
    data: { actor },
  };
}
