import { X509Certificate } from "node:crypto";
import { once } from "node:events";
import { connect, isIP, type Socket } from "node:net";
import { connect as connectTls, type TLSSocket } from "node:tls";
import { formatDuration } from "../core/duration.ts";
import { causeText, OpsError } from "../core/errors.ts";
import { timeoutSignal } from "../core/timer.ts";
import { askForTls, type StartTls } from "./starttls.ts";

export interface Peer {
  readonly host: string;
  readonly port: number;
  /** The name that the server is asked for (SNI); one that is an address is not sent. */
  readonly name: string;
  /** Undefined: TLS from the first byte on. */
  readonly starttls: StartTls | undefined;
  /** Who may sign, as PEM. */
  readonly authorities: readonly string[];
  /** Milliseconds up to the end of the handshake. */
  readonly timeout: number;
  readonly signal?: AbortSignal | undefined;
}

export interface PeerCertificates {
  /** That of the server first, then its issuers as far as they are sent or known. */
  readonly certificates: readonly X509Certificate[];
  /** As OpenSSL calls it (`DEPTH_ZERO_SELF_SIGNED_CERT`); null where the chain leads to an authority. Names do not count. */
  readonly untrusted: string | null;
  /** The address that answered. */
  readonly address: string;
  /** `TLSv1.3` */
  readonly protocol: string;
  readonly cipher: string;
}

/**
 * What a server shows in a handshake, whether it is any good or not; nothing else is said to it. Throws
 * `E_TLS_UNREACHABLE`, `E_TLS_TIMEOUT`, `E_TLS_BROKEN`, `E_TLS_NOT_OFFERED`, and the signal's reason.
 */
export async function peerCertificates(peer: Peer): Promise<PeerCertificates> {
  const timeout = timeoutSignal(peer.timeout);
  const signal = peer.signal === undefined ? timeout : AbortSignal.any([peer.signal, timeout]);
  const where = `${peer.host}:${peer.port}`;
  let phase: "connect" | "handshake" = "connect";
  let socket: Socket | undefined;
  let secure: TLSSocket | undefined;
  try {
    signal.throwIfAborted();
    socket = connect({ host: peer.host, port: peer.port });
    await once(socket, "connect", { signal });
    phase = "handshake";
    if (peer.starttls !== undefined) await askForTls(peer.starttls, { socket, where, signal });
    secure = connectTls({
      socket,
      ...(isIP(peer.name) === 0 && { servername: peer.name }),
      ca: [...peer.authorities],
      // It is looked at, not relied on: what is wrong with it is the answer.
      rejectUnauthorized: false,
      checkServerIdentity: () => undefined,
      minVersion: "TLSv1",
      ciphers: "DEFAULT@SECLEVEL=0",
    });
    await once(secure, "secureConnect", { signal });
    return shownBy(secure, { where, address: socket.remoteAddress ?? "" });
  } catch (error) {
    if (peer.signal?.aborted === true) throw peer.signal.reason;
    if (error instanceof OpsError) throw error;
    if (timeout.aborted) {
      const took = formatDuration(peer.timeout);
      throw new OpsError("E_TLS_TIMEOUT", `${where} did not show a certificate within ${took}`);
    }
    const cause = causeText(error) ?? "";
    throw phase === "connect"
      ? new OpsError("E_TLS_UNREACHABLE", `${where} cannot be reached`, { cause })
      : new OpsError("E_TLS_BROKEN", `${where} does not complete a TLS handshake`, { cause });
  } finally {
    secure?.destroy();
    socket?.destroy();
  }
}

function shownBy(
  secure: TLSSocket,
  { where, address }: { readonly where: string; readonly address: string },
): PeerCertificates {
  const certificates: X509Certificate[] = [];
  let next = secure.getPeerCertificate(true);
  // An authority is its own issuer.
  while (next?.raw !== undefined && !certificates.some((each) => each.raw.equals(next.raw))) {
    certificates.push(new X509Certificate(next.raw));
    next = next.issuerCertificate;
  }
  if (certificates.length === 0) throw new OpsError("E_TLS_BROKEN", `${where} showed no certificate`);
  return {
    certificates,
    untrusted: secure.authorized ? null : String(secure.authorizationError),
    address,
    protocol: secure.getProtocol() ?? "",
    cipher: secure.getCipher().name,
  };
}
