import { randomInt } from "node:crypto";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { connect, isIPv6 } from "node:net";
import { type DecodedPacket, decode, encode, type Packet, RECURSION_DESIRED, streamEncode } from "dns-packet";
import { formatDuration } from "../core/duration.ts";
import { causeText, OpsError } from "../core/errors.ts";
import { after, timeoutSignal } from "../core/timer.ts";
import { type DnsRecord, plainName, recordOf } from "./record.ts";
import { type DnsServer, formatServer } from "./server.ts";

export interface DnsAnswer {
  /** `NOERROR`, `NXDOMAIN`, `SERVFAIL`, `REFUSED`, … */
  readonly code: string;
  /** Whether the server answers for the zone, and not from what it remembers. */
  readonly isAuthoritative: boolean;
  readonly records: readonly DnsRecord[];
}

export interface QueryOptions {
  /** Milliseconds; a datagram that is lost is sent again within them. */
  readonly timeout: number;
  readonly signal?: AbortSignal | undefined;
}

/** Milliseconds after which a datagram counts as lost. */
const resendAfter = 1000;
/** What goes through without being cut into fragments (DNS flag day 2020). */
const datagramSize = 1232;

/**
 * One question to one server, over UDP, and over TCP where the answer is too long for that. Throws `E_DNS_TIMEOUT`,
 * `E_DNS_SERVER` where the server cannot be asked or answers nonsense, and the signal's reason.
 */
export async function queryDns(
  server: DnsServer,
  question: { readonly name: string; readonly type: string },
  options: QueryOptions,
): Promise<DnsAnswer> {
  const timeout = timeoutSignal(options.timeout);
  const signal = options.signal === undefined ? timeout : AbortSignal.any([options.signal, timeout]);
  const packet = packetOf(question);
  try {
    signal.throwIfAborted();
    const short = await overUdp(server, packet, signal);
    const answer = short.flag_tc ? await overTcp(server, packet, signal) : short;
    return {
      code: rcodeOf(answer),
      isAuthoritative: answer.flag_aa,
      records: (answer.answers ?? []).flatMap((each) => recordOf(each) ?? []),
    };
  } catch (error) {
    if (options.signal?.aborted === true) throw options.signal.reason;
    const where = `The DNS server ${formatServer(server)}`;
    if (timeout.aborted) {
      const took = formatDuration(options.timeout);
      throw new OpsError("E_DNS_TIMEOUT", `${where} did not answer within ${took}`);
    }
    throw new OpsError("E_DNS_SERVER", `${where} cannot be asked`, { cause: causeText(error) });
  }
}

function packetOf({ name, type }: { readonly name: string; readonly type: string }): Packet {
  return {
    type: "query",
    id: randomInt(65_536),
    flags: RECURSION_DESIRED,
    questions: [{ name: plainName(name), type: type as "A", class: "IN" }],
    additionals: [
      {
        type: "OPT",
        name: ".",
        udpPayloadSize: datagramSize,
        extendedRcode: 0,
        ednsVersion: 0,
        flags: 0,
        flag_do: false,
        options: [],
      },
    ],
  };
}

async function overUdp(
  { address, port }: DnsServer,
  packet: Packet,
  signal: AbortSignal,
): Promise<DecodedPacket> {
  const socket = createSocket(isIPv6(address) ? "udp6" : "udp4");
  const ended = new AbortController();
  const both = AbortSignal.any([signal, ended.signal]);
  const bytes = encode(packet);
  let cancel = () => {};
  const send = () => {
    socket.send(bytes);
    cancel = after(resendAfter, send);
  };
  try {
    // Connected: the system lets nothing through but what comes from that server, and tells of a closed port.
    socket.connect(port, address);
    await once(socket, "connect", { signal: both });
    send();
    for (;;) {
      const [message] = (await once(socket, "message", { signal: both })) as [Buffer];
      const answer = decoded(message);
      if (answer !== undefined && answers(answer, packet)) return answer;
    }
  } finally {
    cancel();
    ended.abort();
    socket.close();
  }
}

/** Messages of which each begins with its length in two bytes (RFC 1035, 4.2.2). */
async function overTcp(
  { address, port }: DnsServer,
  packet: Packet,
  signal: AbortSignal,
): Promise<DecodedPacket> {
  const socket = connect({ host: address, port });
  try {
    await once(socket, "connect", { signal });
    socket.write(streamEncode(packet));
    let received = Buffer.alloc(0);
    for await (const chunk of socket.iterator({ destroyOnReturn: false })) {
      signal.throwIfAborted();
      received = Buffer.concat([received, chunk as Buffer]);
      const length = received.length < 2 ? Number.POSITIVE_INFINITY : received.readUInt16BE(0);
      if (received.length < length + 2) continue;
      const answer = decoded(received.subarray(2, length + 2));
      if (answer === undefined || !answers(answer, packet)) throw new Error("it answers something else");
      return answer;
    }
    throw new Error("it hung up before its answer was complete");
  } finally {
    socket.destroy();
  }
}

/** Undefined for what is no message of DNS: anybody may send such. */
function decoded(message: Buffer): DecodedPacket | undefined {
  try {
    return decode(message);
  } catch {
    return undefined;
  }
}

function answers(answer: DecodedPacket, { id, questions = [] }: Packet): boolean {
  const [asked] = questions;
  const [repeated] = answer.questions ?? [];
  if (answer.id !== id || answer.type !== "response" || asked === undefined) return false;
  // A server that refuses may leave the question out.
  if (repeated === undefined) return rcodeOf(answer) !== "NOERROR";
  return plainName(repeated.name) === plainName(asked.name) && repeated.type === asked.type;
}

function rcodeOf(answer: DecodedPacket): string {
  return "rcode" in answer ? String(answer.rcode) : "NOERROR";
}
