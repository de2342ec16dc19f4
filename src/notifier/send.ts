import type { NotificationTarget } from "../config/notification-target.ts";
import { OpsError } from "../core/errors.ts";
import { redactJson } from "../core/redaction.ts";
import { visibleLine } from "../core/visible.ts";
import { revealHeaders } from "../http/headers.ts";
import { appendLine } from "./file.ts";
import { exchange } from "./http-post.ts";
import { type Message, messageData } from "./message.ts";
import { pagerDutyBody } from "./pagerduty.ts";
import { tellProgram } from "./program.ts";
import type { Rest, Sent } from "./sent.ts";
import { slackBody } from "./slack.ts";
import { signedHeaders, webhookBody } from "./webhook.ts";

const json = { "content-type": "application/json" };

/**
 * Tells one receiver, once. Whatever goes wrong is in what comes back; nothing is thrown for it. A receiver's own words
 * are one line without anything that a terminal would obey.
 * @param id the same at every attempt to tell this receiver of this notice
 * @param now milliseconds since 1970
 * @param rest of several recipients, those who are still to be told
 */
export async function sendMessage(
  target: NotificationTarget,
  message: Message,
  id: string,
  now: number,
  signal?: AbortSignal,
  rest?: Rest,
): Promise<Sent> {
  const sent = await attempt(target, message, id, now, signal, rest);
  if (!sent.sent) return { ...sent, problem: visibleLine(sent.problem) };
  const { answer, remark } = sent;
  return {
    ...sent,
    answer: visibleLine(answer),
    ...(remark === undefined ? {} : { remark: visibleLine(remark) }),
  };
}

async function attempt(
  target: NotificationTarget,
  unsafe: Message,
  id: string,
  now: number,
  signal?: AbortSignal,
  rest?: Rest,
): Promise<Sent> {
  const message = redactJson(unsafe);
  const what = `notification ${target.name}`;
  try {
    switch (target.kind) {
      case "slack":
        return await exchange(
          what,
          async () => ({ url: target.url, headers: json, body: JSON.stringify(slackBody(message)) }),
          signal,
        );
      case "webhook":
        return await exchange(
          what,
          async () => {
            const body = webhookBody(message, id);
            const signed = signedHeaders(await target.secret.reveal(), id, now, body);
            const headers = {
              ...json,
              ...(await revealHeaders(target.headers, target.directory)),
              ...signed,
            };
            return { url: target.url, headers, body };
          },
          signal,
        );
      case "url":
        return await exchange(
          what,
          async () => ({
            url: target.url,
            headers: { ...json, ...(await revealHeaders(target.headers, target.directory)) },
            body: JSON.stringify(messageData(message, id)),
          }),
          signal,
        );
      case "pagerduty": {
        const body = pagerDutyBody(message, await target.routingKey.reveal());
        if (body === undefined) return { sent: true, answer: "nothing to page anybody for" };
        return await exchange(
          what,
          async () => ({ url: target.url, headers: json, body: JSON.stringify(body) }),
          signal,
        );
      }
      case "email": {
        const { sendEmail } = await import("./email.ts");
        return await sendEmail(what, target, message, id, signal, rest);
      }
      case "file":
        return await appendLine(what, target.file, JSON.stringify(messageData(message, id)));
      case "command":
        return await tellProgram(what, target, JSON.stringify(messageData(message, id)), signal);
    }
  } catch (error) {
    if (!(error instanceof OpsError)) throw error;
    return { sent: false, problem: `${what}: ${error.message}` };
  }
}
