import { lookup } from "node:dns/promises";
import { BlockList } from "node:net";
import type { Environment } from "../config/environment.ts";
import { UsageError } from "../core/errors.ts";
import { parseHttpUrl, showUrl } from "../http/client.ts";

const loopback = new BlockList();
loopback.addSubnet("127.0.0.0", 8, "ipv4");
loopback.addAddress("::1", "ipv6");

/**
 * The target of a load as a URL, if the environment owns its server: a scheme, host and port that its list has, or,
 * where it has no list, this machine itself. Load on somebody else's server is an attack. Throws `E_LOAD_FORBIDDEN`.
 */
export async function requireOwned(environment: Environment, target: string): Promise<URL> {
  const url = parseHttpUrl(target);
  if (url.username !== "" || url.password !== "") {
    throw new UsageError("E_LOAD_FORBIDDEN", "The target of a load must not hold a user or a password", {
      hint: "write headers: { authorization: Bearer env:NAME } in the scenario of the load",
    });
  }
  const allowed = environment.loadTargets;
  if (allowed !== undefined) {
    if (allowed.includes(url.origin)) return url;
    throw forbidden(environment, target, `its list has ${allowed.join(", ") || "none at all"}`);
  }
  if (await isThisMachine(url.hostname.replace(/^\[|\]$/g, ""))) return url;
  throw forbidden(environment, target, "without a list only this machine is");
}

/** `localhost` only where it means this machine: a name is what a resolver makes of it. */
async function isThisMachine(host: string): Promise<boolean> {
  const isAddress = /^[\d.]+$/.test(host) || host.includes(":");
  if (!isAddress && host !== "localhost") return false;
  const addresses = await lookup(host, { all: true });
  return addresses.every(({ address, family }) => loopback.check(address, family === 6 ? "ipv6" : "ipv4"));
}

function forbidden({ name }: Environment, target: string, why: string): UsageError {
  const { origin } = parseHttpUrl(target);
  return new UsageError(
    "E_LOAD_FORBIDDEN",
    `No load was made: ${showUrl(target)} is not a server that the environment ${name} owns; ${why}`,
    { hint: `if it is yours, let the environment ${name} own it in .opsrc: load: { allow: [${origin}] }` },
  );
}
