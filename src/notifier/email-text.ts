import type { Message } from "./message.ts";

const colors = { info: "#2563eb", warning: "#b45309", error: "#b91c1c", critical: "#7f1d1d" } as const;

/** For a reader of plain text. */
export function emailText(message: Message): string {
  const { text, title, facts, command } = message;
  const width = Math.max(0, ...facts.map(({ name }) => name.length));
  return [
    text === title ? title : `${title}\n\n${text}`,
    ...(facts.length === 0
      ? []
      : [facts.map(({ name, value }) => `${name.padEnd(width)}  ${value}`).join("\n")]),
    ...(command === null ? [] : [`  $ ${command}`]),
    footer(message),
    "",
  ].join("\n\n");
}

/** The same for a reader of HTML: no images, no links, nothing fetched. */
export function emailHtml(message: Message): string {
  const { text, title, facts, command, severity, incident } = message;
  const color = incident === "resolve" ? "#15803d" : colors[severity];
  const rows = facts.map(
    ({ name, value }) =>
      `<tr><td style="padding:2px 12px 2px 0;color:#555;vertical-align:top">${escaped(name)}</td><td style="padding:2px 0">${escaped(value)}</td></tr>`,
  );
  return [
    '<!doctype html><html><body style="font-family:sans-serif;font-size:15px;color:#111">',
    `<h2 style="margin:0 0 12px;padding-left:10px;border-left:6px solid ${color}">${escaped(title)}</h2>`,
    ...(text === title ? [] : [`<p style="white-space:pre-wrap">${escaped(text)}</p>`]),
    ...(rows.length === 0 ? [] : [`<table style="border-collapse:collapse">${rows.join("")}</table>`]),
    ...(command === null
      ? []
      : [`<pre style="background:#f3f4f6;padding:10px;display:inline-block">${escaped(command)}</pre>`]),
    `<p style="color:#777;font-size:12px">${escaped(footer(message))}</p>`,
    "</body></html>",
  ].join("\n");
}

function footer({ event, environment, host, at }: Message): string {
  return `${event} in ${environment}, told by ops on ${host} at ${at}`;
}

function escaped(text: string): string {
  return text
    .replaceAll("&", "&amp;")
    .replaceAll("<", "&lt;")
    .replaceAll(">", "&gt;")
    .replaceAll('"', "&quot;");
}
