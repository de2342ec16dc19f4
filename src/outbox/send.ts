import type { Environment } from "../config/environment.ts";
import type { Clock } from "../core/clock.ts";
import { type Message, messageId } from "../notifier/message.ts";
import { sendMessage } from "../notifier/send.ts";
import type { Sent } from "../notifier/sent.ts";
import type { Notice } from "./outbox.ts";

/** Sends a notice to the notification that it is for. */
export async function sendNotice(
  environment: Environment,
  clock: Clock,
  notice: Notice,
  signal?: AbortSignal,
): Promise<Sent> {
  const { target, key, body } = notice;
  if (!environment.names("notifications").includes(target))
    return { sent: false, problem: `notification ${target} is configured no more`, final: true };
  const id = messageId(environment.name, key);
  const now = clock.now().getTime();
  return sendMessage(
    environment.notification(target),
    body as Message,
    id,
    now,
    signal,
    notice.rest ?? undefined,
  );
}
