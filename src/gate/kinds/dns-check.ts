import { z } from "zod";
import { formatDuration } from "../../core/duration.ts";
import { causeText, OpsError } from "../../core/errors.ts";
import { duration } from "../../core/schema.ts";
import { type DnsAnswer, queryDns } from "../../dns/query.ts";
import { canonicalValue, type DnsRecord, plainName, recordTypes } from "../../dns/record.ts";
import { authoritativeServers, queryAny, refused } from "../../dns/resolver.ts";
import { type DnsServer, dnsPort, formatServer, parseServer, systemServers } from "../../dns/server.ts";
import {
  type Check,
  type CheckLimits,
  defineCheck,
  type Judgement,
  type Measurement,
} from "../../run/check.ts";
import type { OperationContext } from "../../run/context.ts";
import { judgeByLimits } from "../../run/limits.ts";

/** One text or several. */
const list = (one: z.ZodString) =>
  z.union([one, z.array(one).min(1, "needs at least one")]).transform((each) => [each].flat());

const input = z.strictObject({
  name: z
    .string()
    .regex(/^[A-Za-z0-9_*-]+(\.[A-Za-z0-9_-]+)*\.?$/, "must be a whole domain name")
    .describe("The domain name, whole: nothing is added to it"),
  type: z.enum(recordTypes).default("A").describe("Type of its records"),
  expect: list(z.string().min(1, "must not be empty"))
    .describe('The values that it must have: 10.0.0.1, app.example.com, "10 mail.example.com"')
    .optional(),
  match: z
    .enum(["exact", "all", "any"])
    .default("exact")
    .describe("exact: these and no others; all: these, perhaps others too; any: at least one of these"),
  resolver: list(z.string())
    .superRefine(mustBeServers)
    .describe("Who is asked; of several all, and they must agree; default: the system's, of which one")
    .optional(),
  authoritative: z
    .boolean()
    .default(false)
    .describe("Ask every server that answers for the zone instead; they must agree"),
  timeout: duration("How long it may take in all").prefault("10s"),
});
type Input = z.output<typeof input>;

function mustBeServers(texts: readonly string[], context: z.RefinementCtx): void {
  for (const text of texts) {
    if (parseServer(text) !== undefined) continue;
    context.addIssue({
      code: "custom",
      message: `"${text}" is not the address of a DNS server`,
      params: { hint: "write 10.0.0.53, 10.0.0.53:5353 or [2001:db8::53]:53" },
    });
  }
}

/** What one server says. */
type Said = {
  server: string;
  /** Sorted. */
  values: string[];
  /** Milliseconds that the longest-lived record on the way may be kept for; null where there is none. */
  ttl: number | null;
  /** The names that one is an alias of, in their order. */
  aliases: string[];
  /** NXDOMAIN, or no records of this type; null where there are some. */
  missing: string | null;
  /** Why it is not known what it says. */
  error: string | null;
};
type DnsEvidence = { name: string; type: string; servers: Said[] };

/**
 * The value is the time that what is there now may be remembered for, in milliseconds: how long a switch takes to reach
 * everybody.
 *
 * @param port of authoritative servers; 53 everywhere but in tests
 */
export function dnsCheckOf(port: number): Check {
  return defineCheck({
    kind: "dns",
    summary: "What a name stands for in DNS, whether all servers agree, and how long that is remembered",
    why: "Clients go where the name leads them, and stay there until its time to live is over.",
    remedy:
      "Correct the record at whoever serves the zone; before a switch lower its TTL, and wait for the old one to pass.",
    limitUnits: ["duration"],
    input,
    async measure(context, settings): Promise<Measurement> {
      const said = await everybodySays(context, settings, port);
      const ttls = said.flatMap(({ ttl }) => ttl ?? []);
      const ttl = ttls.length === 0 ? null : Math.max(...ttls);
      const name = plainName(settings.name);
      const evidence: DnsEvidence = { name, type: settings.type, servers: said };
      return { value: ttl, shown: valuesShown(said.find(({ error }) => error === null)), evidence };
    },
    judge: ({ value, evidence }, settings, limits) => judge(value, evidence as DnsEvidence, settings, limits),
  });
}

export const dnsCheck = dnsCheckOf(dnsPort);

async function everybodySays(context: OperationContext, settings: Input, port: number): Promise<Said[]> {
  const { name, type, timeout } = settings;
  const options = { timeout, signal: context.signal };
  const resolvers = settings.resolver?.map((each) => parseServer(each) ?? never(each));
  if (!settings.authoritative && resolvers === undefined) {
    const { server, answer } = await queryAny(systemServers(), { name, type }, options);
    return [saidIn(answer, settings, server)];
  }
  const servers = settings.authoritative
    ? await authoritativeServers(resolvers ?? systemServers(), name, options, port)
    : (resolvers ?? []);
  return Promise.all(
    servers.map(async (server) => {
      try {
        return saidIn(await queryDns(server, { name, type }, options), settings, server);
      } catch (error) {
        if (context.signal.aborted || !(error instanceof OpsError)) throw error;
        const cause = causeText(error.cause);
        const message = cause === undefined ? error.message : `${error.message}: ${cause}`;
        return { ...nothing(server), error: message };
      }
    }),
  );
}

const nothing = (server: DnsServer): Said => ({
  server: formatServer(server),
  values: [],
  ttl: null,
  aliases: [],
  missing: null,
  error: null,
});

function saidIn(answer: DnsAnswer, { name, type, authoritative }: Input, server: DnsServer): Said {
  const said = nothing(server);
  if (answer.code !== "NOERROR" && answer.code !== "NXDOMAIN")
    return { ...said, error: refused(server, answer.code).message };
  if (authoritative && !answer.isAuthoritative)
    return { ...said, error: `${said.server} does not answer for the zone of ${plainName(name)}` };
  const { way, found } = followed(answer.records, plainName(name), type);
  const aliases = way.map((each) => each.value);
  const values = [...new Set(found.map((each) => each.value))].sort();
  const all = [...way, ...found];
  const ttl = all.length === 0 ? null : Math.max(...all.map((each) => each.ttl)) * 1000;
  const known = { ...said, aliases, values, ttl };
  const last = aliases.at(-1);
  if (values.length > 0) return known;
  if (last !== undefined && authoritative) {
    const error = `it is an alias of ${last}, which others answer for: ask for its type CNAME`;
    return { ...known, error };
  }
  const missing =
    answer.code === "NXDOMAIN"
      ? `${last ?? plainName(name)} does not exist${last === undefined ? "" : `, which ${plainName(name)} is an alias of`}`
      : `${last ?? plainName(name)} has no ${type} record`;
  return { ...known, missing };
}

/** The aliases on the way from a name, and the records at its end. */
function followed(
  records: readonly DnsRecord[],
  name: string,
  type: string,
): { way: DnsRecord[]; found: DnsRecord[] } {
  const way: DnsRecord[] = [];
  for (let at = name; way.length <= records.length; ) {
    const found = records.filter((each) => each.name === at && each.type === type);
    const alias = records.find((each) => each.name === at && each.type === "CNAME");
    if (found.length > 0 || alias === undefined) return { way, found };
    way.push(alias);
    at = alias.value;
  }
  return { way, found: [] };
}

function judge(
  value: Measurement["value"],
  { name, type, servers }: DnsEvidence,
  settings: Input,
  limits: CheckLimits,
): Judgement {
  const known = servers.filter(({ error }) => error === null);
  const [first] = known;
  const missing = known.find((each) => each.missing !== null);
  const of = servers.length > 1 ? ` at ${missing?.server}` : "";
  if (missing !== undefined) return { status: "fail", reason: `${missing.missing}${of}` };
  for (const each of known) {
    const wrong = mismatch(each.values, settings);
    const where = servers.length > 1 ? ` at ${each.server}` : "";
    if (wrong !== null)
      return { status: "fail", reason: `${name} ${type} is ${valuesShown(each)}${where}, ${wrong}` };
  }
  const other = known.find((each) => each.values.join("\n") !== first?.values.join("\n"));
  if (first !== undefined && other !== undefined) {
    return {
      status: "fail",
      reason: `${name} ${type} is ${valuesShown(first)} at ${first.server}, and ${valuesShown(other)} at ${other.server}`,
    };
  }
  const unheard = servers.find(({ error }) => error !== null);
  if (unheard !== undefined || typeof value !== "number")
    return { status: "unknown", reason: unheard?.error ?? `${name} has no answer` };
  const agreed = servers.length > 1 ? ` at all ${servers.length} servers` : "";
  const shown = `${name} ${type} is ${valuesShown(first)}${agreed}, kept for ${formatDuration(value)}`;
  return judgeByLimits(value, shown, limits);
}

/** What is not as it is expected; null where nothing is. */
function mismatch(values: readonly string[], { type, expect, match }: Input): string | null {
  if (expect === undefined) return null;
  const wanted = expect.map((each) => canonicalValue(type, each));
  const absent = wanted.filter((each) => !values.includes(each));
  const strange = values.filter((each) => !wanted.includes(each));
  const isRight = {
    exact: absent.length === 0 && strange.length === 0,
    all: absent.length === 0,
    any: absent.length < wanted.length,
  }[match];
  return isRight ? null : `expected ${match === "exact" ? "" : `${match} of `}${wanted.join(", ")}`;
}

function valuesShown(said: Said | undefined): string {
  const values = said?.values ?? [];
  const shown = values.slice(0, 5).map((each) => (each.length > 80 ? `${each.slice(0, 80)}…` : each));
  return values.length === 0
    ? "nothing"
    : `${shown.join(", ")}${values.length > 5 ? ` and ${values.length - 5} more` : ""}`;
}

function never(text: string): never {
  throw new OpsError("E_DNS_SERVER", `"${text}" is no address of a DNS server`, { retryable: false });
}
