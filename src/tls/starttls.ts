import { once } from "node:events";
import type { Socket } from "node:net";
import { OpsError } from "../core/errors.ts";

/** What is said in the clear before TLS begins. */
export type StartTls = "postgres" | "smtp";

/** A connection in the clear, and what ends the wait for the other side. */
interface Clear {
  readonly socket: Socket;
  /** `host:port`, for errors. */
  readonly where: string;
  readonly signal: AbortSignal;
}

/**
 * Asks a server to go on in TLS, as its protocol has it. Throws `E_TLS_NOT_OFFERED` where it says no, `E_TLS_BROKEN`
 * where it does not speak that protocol, and the signal's reason.
 */
export async function askForTls(protocol: StartTls, clear: Clear): Promise<void> {
  if (protocol === "postgres") await askPostgres(clear);
  else await askSmtp(clear);
}

/** SSLRequest (PostgreSQL, Frontend/Backend Protocol, Message Formats): its length and a number that is no version. */
const sslRequest = Buffer.from([0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f]);

async function askPostgres(clear: Clear): Promise<void> {
  clear.socket.write(sslRequest);
  const answer = (await read(clear)).toString("latin1");
  if (answer === "S") return;
  if (answer === "N") throw notOffered(clear, "PostgreSQL answers that it has no TLS");
  throw strange(clear, "PostgreSQL");
}

async function askSmtp(clear: Clear): Promise<void> {
  await expectReply(clear, 220);
  clear.socket.write("EHLO localhost\r\n");
  const offers = await expectReply(clear, 250);
  if (!/^250[ -]STARTTLS\s*$/im.test(offers)) throw notOffered(clear, "the SMTP server offers no STARTTLS");
  clear.socket.write("STARTTLS\r\n");
  await expectReply(clear, 220);
}

/** More than a greeting of an SMTP server has. */
const replyLimit = 65_536;

/** A whole reply of RFC 5321: lines `250-…`, the last one `250 …`. */
async function expectReply(clear: Clear, code: number): Promise<string> {
  let text = "";
  while (!/^\d{3}(?: .*)?\r?\n$/m.test(text) && text.length < replyLimit)
    text += (await read(clear)).toString("latin1");
  if (!text.startsWith(String(code))) throw strange(clear, "SMTP");
  return text;
}

async function read({ socket, where, signal }: Clear): Promise<Buffer> {
  for (;;) {
    const chunk = socket.read() as Buffer | null;
    if (chunk !== null) return chunk;
    if (socket.readableEnded) throw new OpsError("E_TLS_BROKEN", `${where} hung up before TLS began`);
    await Promise.race([once(socket, "readable", { signal }), once(socket, "end", { signal })]);
  }
}

function notOffered({ where }: Clear, what: string): OpsError {
  return new OpsError("E_TLS_NOT_OFFERED", `${where}: ${what}`, { retryable: false });
}

function strange({ where }: Clear, protocol: string): OpsError {
  return new OpsError("E_TLS_BROKEN", `${where} does not answer as ${protocol} does`, {
    hint: 'see that the port and "starttls:" are those of the service',
    retryable: false,
  });
}
