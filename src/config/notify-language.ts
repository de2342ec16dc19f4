import { Language } from "../expression/expression.ts";
import type { Message } from "../notifier/message.ts";

/** What the title and the text of a rule can see. */
export const noticeLanguage = new Language({
  event: "string",
  severity: "string",
  title: "string",
  text: "string",
  environment: "string",
  host: "string",
  at: "string",
  command: "string",
  notice: "map",
  facts: "map",
});

/** `title` and `text` are the ones that it has without a rule's own. */
export function noticeScope(message: Message): object {
  const { event, severity, title, text, environment, host, at, command, facts, data } = message;
  const named = Object.fromEntries(facts.map(({ name, value }) => [name, value]));
  return {
    event,
    severity,
    title,
    text,
    environment,
    host,
    at,
    command: command ?? "",
    facts: named,
    notice: data,
  };
}
