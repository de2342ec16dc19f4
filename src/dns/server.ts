import { getServers } from "node:dns";
import { isIP, isIPv6 } from "node:net";
import { OpsError } from "../core/errors.ts";

/** A server that answers questions, by its address. */
export interface DnsServer {
  readonly address: string;
  readonly port: number;
  /** Of an authoritative server: what its zone calls it. */
  readonly name?: string;
}

export const dnsPort = 53;

/** `10.0.0.1`, `10.0.0.1:5353`, `2001:db8::1`, `[2001:db8::1]:5353`; undefined where it is no address. */
export function parseServer(text: string): DnsServer | undefined {
  if (isIP(text) !== 0) return { address: text, port: dnsPort };
  const [, bracketed, plain, digits] = /^(?:\[([^\]]+)\]|([^:[\]]+))(?::(\d{1,5}))?$/.exec(text) ?? [];
  const address = bracketed ?? plain ?? "";
  const port = digits === undefined ? dnsPort : Number(digits);
  const isRight = bracketed === undefined ? isIP(address) === 4 : isIPv6(address);
  return isRight && port > 0 && port < 65_536 ? { address, port } : undefined;
}

/** `10.0.0.1`, `10.0.0.1:5353`, `ns1.example.com (10.0.0.1)` */
export function formatServer({ address, port, name }: DnsServer): string {
  const host = port === dnsPort ? address : isIPv6(address) ? `[${address}]:${port}` : `${address}:${port}`;
  return name === undefined ? host : `${name} (${host})`;
}

/** Those of the system (/etc/resolv.conf), the preferred one first. Throws `E_DNS_SERVER` where it has none. */
export function systemServers(): DnsServer[] {
  const found = getServers().flatMap((each) => parseServer(each) ?? []);
  if (found.length > 0) return found;
  throw new OpsError("E_DNS_SERVER", "This machine has no DNS server configured", {
    hint: 'name one under "resolver:" of the check, or in /etc/resolv.conf',
    retryable: false,
  });
}
