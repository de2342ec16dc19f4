import { OpsError } from "../core/errors.ts";
import { type DnsAnswer, type QueryOptions, queryDns } from "./query.ts";
import { plainName } from "./record.ts";
import { type DnsServer, dnsPort, formatServer } from "./server.ts";

/** Asks the first of some equal servers that gives an answer; the time is divided among them. Throws like `queryDns`. */
export async function queryAny(
  servers: readonly DnsServer[],
  question: { readonly name: string; readonly type: string },
  options: QueryOptions,
): Promise<{ readonly server: DnsServer; readonly answer: DnsAnswer }> {
  const timeout = Math.ceil(options.timeout / Math.max(1, servers.length));
  let failure: unknown;
  for (const server of servers) {
    try {
      const answer = await queryDns(server, question, { ...options, timeout });
      if (answer.code === "NOERROR" || answer.code === "NXDOMAIN") return { server, answer };
      failure = refused(server, answer.code);
    } catch (error) {
      options.signal?.throwIfAborted();
      failure = error;
    }
  }
  throw failure ?? new OpsError("E_DNS_SERVER", "There is no DNS server to ask");
}

export function refused(server: DnsServer, code: string): OpsError {
  return new OpsError("E_DNS_SERVER", `The DNS server ${formatServer(server)} answers ${code}`);
}

/**
 * The servers that answer for the zone of a name, by one address each, as a resolver knows them. Throws like
 * `queryDns`, and `E_DNS_SERVER` where no zone is found or one of its servers has no address.
 *
 * @param port where they answer; 53 everywhere but in tests
 */
export async function authoritativeServers(
  resolvers: readonly DnsServer[],
  name: string,
  options: QueryOptions,
  port = dnsPort,
): Promise<DnsServer[]> {
  const labels = plainName(name).split(".");
  for (let at = 0; at < labels.length; at += 1) {
    const zone = labels.slice(at).join(".");
    const { answer } = await queryAny(resolvers, { name: zone, type: "NS" }, options);
    const servers = answer.records.filter((each) => each.type === "NS" && each.name === zone);
    if (servers.length === 0) continue;
    const names = servers.map((each) => each.value).sort();
    return Promise.all(names.map((each) => addressed(resolvers, each, options, port)));
  }
  throw new OpsError("E_DNS_SERVER", `No zone is found that ${name} is in`);
}

async function addressed(
  resolvers: readonly DnsServer[],
  name: string,
  options: QueryOptions,
  port: number,
): Promise<DnsServer> {
  for (const type of ["A", "AAAA"]) {
    const { answer } = await queryAny(resolvers, { name, type }, options);
    const found = answer.records.find((each) => each.type === type);
    if (found !== undefined) return { address: found.value, port, name };
  }
  throw new OpsError("E_DNS_SERVER", `The authoritative server ${name} has no address`);
}
