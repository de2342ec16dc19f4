import type { Json } from "../core/errors.ts";
import { type Message, shortened } from "./message.ts";

const signs = { info: "ℹ️", warning: "⚠️", error: "❌", critical: "🚨" } as const;
/** Slack's own limits, in characters, and a section's in fields. */
const limits = { header: 150, section: 3000, field: 2000, fields: 10, context: 2000 } as const;

/**
 * The body of a Slack-compatible incoming webhook: `text` for notifications and for receivers without blocks, `blocks`
 * for the message itself.
 * Source: docs.slack.dev (Incoming webhooks; Block Kit: header, section, context).
 */
export function slackBody(message: Message): { [key: string]: Json } {
  const { title, text, facts, command, environment, host, at, event } = message;
  const sign = message.incident === "resolve" ? "✅" : signs[message.severity];
  const fields = facts.slice(0, limits.fields).map(({ name, value }) => ({
    type: "mrkdwn",
    text: shortened(`*${escaped(name)}*\n${escaped(value)}`, limits.field),
  }));
  return {
    text: escaped(`${sign} ${title}`),
    blocks: [
      { type: "header", text: { type: "plain_text", text: shortened(`${sign} ${title}`, limits.header) } },
      ...(text === title ? [] : [section(escaped(text))]),
      ...(fields.length === 0 ? [] : [{ type: "section", fields }]),
      ...(command === null ? [] : [section(`\`\`\`${escaped(command)}\`\`\``)]),
      {
        type: "context",
        elements: [
          {
            type: "mrkdwn",
            text: shortened(escaped(`${event} · ${environment} · ${host} · ${at}`), limits.context),
          },
        ],
      },
    ],
  };
}

function section(text: string): { [key: string]: Json } {
  return { type: "section", text: { type: "mrkdwn", text: shortened(text, limits.section) } };
}

/** The three characters that mean something in Slack's text; nothing in a notice mentions anybody by accident. */
function escaped(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}
