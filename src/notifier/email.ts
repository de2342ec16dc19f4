import { readFile } from "node:fs/promises";
import type { Transporter } from "nodemailer";
import type { EmailTarget } from "../config/notification-target.ts";
import { causeText, OpsError } from "../core/errors.ts";
import { redact } from "../core/redaction.ts";
import { timeoutSignal } from "../core/timer.ts";
import { emailHtml, emailText } from "./email-text.ts";
import { type Message, shortened } from "./message.ts";
import type { Rest, Sent } from "./sent.ts";

/** Milliseconds for each silence of the server, and for the whole conversation. */
const silence = 10_000;
const timeout = 30_000;
const wordsLength = 300;

/**
 * Sends one mail to all recipients, or to those of them who do not have it yet. Its Message-ID is the notice's id: a
 * repeat is known for one.
 */
export async function sendEmail(
  what: string,
  target: EmailTarget,
  message: Message,
  id: string,
  signal?: AbortSignal,
  rest?: Rest,
): Promise<Sent> {
  const sent = await talk(what, target, signal, async (transport) => {
    const domain = /@([^\s>]+)/.exec(target.from)?.[1] ?? "ops.invalid";
    const info = await transport.sendMail({
      from: target.from,
      to: [...target.to],
      ...(rest === undefined ? {} : { envelope: { from: target.from, to: [...rest.to] } }),
      subject: shortened(`[${message.environment}] ${message.title}`, 200),
      text: emailText(message),
      html: emailHtml(message),
      date: new Date(message.at),
      messageId: `<${id}@${domain}>`,
      // Mails about one subject become one thread.
      references: `<${message.subject.replace(/[^A-Za-z0-9.-]/g, "_")}@${domain}>`,
      headers: {
        "auto-submitted": "auto-generated",
        "x-ops-event": message.event,
        "x-ops-severity": message.severity,
      },
      priority: message.severity === "critical" ? "high" : "normal",
    });
    const answer = redact(String(info.response ?? "accepted"));
    const { later, never } = refusals(info, rest);
    const refused = never.length === 0 ? undefined : `${what}: the server refused ${never.join(", ")}`;
    if (later.length > 0) {
      const waiting = later.map(({ recipient, said }) => `${recipient} (${said})`).join(", ");
      const problem = `${refused === undefined ? `${what}: the server refused` : `${refused}, and`} for now ${waiting}`;
      return {
        sent: false,
        problem: shortened(redact(problem), wordsLength),
        rest: { to: later.map(({ recipient }) => recipient), refused: never },
      };
    }
    return {
      sent: true,
      answer: shortened(answer, wordsLength),
      ...(refused === undefined ? {} : { remark: refused }),
    };
  });
  if (sent.sent || rest === undefined || sent.rest !== undefined) return sent;
  const never = rest.refused.length === 0 ? "" : ` and ${rest.refused.join(", ")}, refused for good`;
  return { ...sent, problem: `${sent.problem} (all have it but ${rest.to.join(", ")}${never})` };
}

/** Whom the server refuses for now (4xx: a greylist, a full mailbox), and whom for good; the others have the mail. */
function refusals(info: unknown, rest: Rest | undefined) {
  const { rejectedErrors = [] } = info as {
    readonly rejectedErrors?: readonly {
      readonly recipient?: string;
      readonly responseCode?: number;
      readonly response?: string;
    }[];
  };
  const all = rejectedErrors.map(({ recipient, responseCode, response }) => ({
    recipient: String(recipient),
    isFinal: (responseCode ?? 0) >= 500,
    said: response ?? "without a word",
  }));
  const never = all.filter(({ isFinal }) => isFinal).map(({ recipient }) => recipient);
  return {
    later: all.filter(({ isFinal }) => !isFinal),
    never: [...new Set([...(rest?.refused ?? []), ...never])],
  };
}

/** Connects, secures and logs in, and sends nothing. */
export function greetMailServer(what: string, target: EmailTarget, signal?: AbortSignal): Promise<Sent> {
  return talk(what, target, signal, async (transport) => {
    await transport.verify();
    return { sent: true, answer: `${target.host}:${target.port} lets ${target.user?.shown ?? "anybody"} in` };
  });
}

async function talk(
  what: string,
  target: EmailTarget,
  signal: AbortSignal | undefined,
  work: (transport: Transporter) => Promise<Sent>,
): Promise<Sent> {
  const over = timeoutSignal(timeout);
  const stop = signal === undefined ? over : AbortSignal.any([signal, over]);
  let transport: Transporter | undefined;
  try {
    const conversation = async () => {
      transport = await connection(target);
      if (stop.aborted) throw noAnswer();
      return work(transport);
    };
    // Both at once: a rejection that nobody waits for would end the process.
    return await Promise.race([conversation(), endOf(stop)]);
  } catch (error) {
    const said = shortened(redact(causeText(error) ?? "unknown"), wordsLength);
    const code = error instanceof Error && "responseCode" in error ? Number(error.responseCode) : 0;
    // 5xx at the envelope or the text: this mail will never be taken. A password may be mended.
    const envelope =
      error instanceof Error && "code" in error && /^(EENVELOPE|EMESSAGE)$/.test(String(error.code));
    const problem = `${what}: ${target.host}:${target.port}: ${said}`;
    return { sent: false, problem, ...(envelope && code >= 550 ? { final: true as const } : {}) };
  } finally {
    transport?.close();
  }
}

function endOf(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    const end = () => reject(noAnswer());
    if (signal.aborted) end();
    else signal.addEventListener("abort", end, { once: true });
  });
}

function noAnswer(): OpsError {
  return new OpsError("E_NOTICE", "no answer in time");
}

async function connection(target: EmailTarget): Promise<Transporter> {
  const { createTransport } = await import("nodemailer");
  const { host, port, tls, user, password } = target;
  const auth =
    user === undefined ? undefined : { user: await user.reveal(), pass: (await password?.reveal()) ?? "" };
  const ca = target.ca === undefined ? undefined : await readFile(target.ca, "utf8");
  return createTransport({
    host,
    port,
    secure: tls === "tls",
    requireTLS: tls === "starttls",
    ignoreTLS: tls === "none",
    connectionTimeout: silence,
    greetingTimeout: silence,
    socketTimeout: silence,
    dnsTimeout: silence,
    ...(auth === undefined ? {} : { auth }),
    ...(ca === undefined ? {} : { tls: { ca } }),
  });
}
