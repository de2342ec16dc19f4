import type { X509Certificate } from "node:crypto";
import { resolve } from "node:path";
import { z } from "zod";
import { Secret } from "../../config/secret.ts";
import { referencedSecret } from "../../config/secret-field.ts";
import { formatDuration } from "../../core/duration.ts";
import { OpsError } from "../../core/errors.ts";
import { duration } from "../../core/schema.ts";
import { exceeds, parseThreshold } from "../../core/threshold.ts";
import { type CheckLimits, defineCheck, type Judgement, type Measurement } from "../../run/check.ts";
import type { OperationContext } from "../../run/context.ts";
import { trustedAuthorities } from "../../tls/authorities.ts";
import {
  type CertificateFacts,
  certificateFacts,
  isFor,
  shownName,
  weaknessesOf,
} from "../../tls/certificate.ts";
import { certificatesIn } from "../../tls/certificate-file.ts";
import { type PeerCertificates, peerCertificates } from "../../tls/peer-certificate.ts";
import { untrustedReason } from "../../tls/verify-file.ts";
import { hostAndPort, mustBeHostAndPort } from "../host-and-port.ts";

/** Two weeks: time for a renewal that failed to be seen and mended by people. */
const usualLimit = parseThreshold("< 14d");

/** `left`: milliseconds until it expires, below zero where it has. */
type Shown = CertificateFacts & { left: number };
type CertificateEvidence = {
  /** `db.example.com:5432`, or the path of the file. */
  place: string;
  /** Why it is bad whatever its dates are; `problems` of all certificates. */
  problems: string[];
  /** That of the server first. */
  certificates: Shown[];
  /** The handshake; null for a file, or where there was none. */
  connection: { address: string; protocol: string; cipher: string } | null;
  /** Whether it leads to an authority; null where that was not asked for. */
  trusted: boolean | null;
};

const input = z
  .strictObject({
    host: z
      .string()
      .superRefine(mustBeHostAndPort)
      .describe("Who shows it: app.example.com, db.example.com:5432; the port is 443 where none is given")
      .optional(),
    file: z
      .string()
      .min(1, "must not be empty")
      .describe("Instead: a PEM, DER or PKCS#12 file, relative to the configuration file")
      .optional(),
    passphrase: referencedSecret("Of a PKCS#12 file").optional(),
    starttls: z.enum(["postgres", "smtp"]).describe("The protocol that goes on in TLS when asked").optional(),
    name: z
      .string()
      .regex(/^[A-Za-z0-9._:-]+$/, "must be a host name or an address")
      .describe("Name that it must be for, which the server is asked for too (SNI); default: the host")
      .optional(),
    ca: z
      .string()
      .min(1, "must not be empty")
      .describe("PEM file of the authorities, relative to the configuration file; default: the system's")
      .optional(),
    trusted: z.boolean().describe("Whether it must lead to an authority").default(true),
    timeout: duration("How long the handshake may take").prefault("10s"),
  })
  .superRefine((value, context) => {
    const mistake = (key: string, message: string) =>
      context.addIssue({ code: "custom", path: [key], message });
    if ((value.host === undefined) === (value.file === undefined))
      mistake("host", 'needs either "host:" or "file:"');
    if (value.host === undefined && value.starttls !== undefined) mistake("starttls", 'needs "host:"');
    if (value.file === undefined && value.passphrase !== undefined) mistake("passphrase", 'needs "file:"');
  });

/** The value is the time until the first certificate of the chain expires. */
export const certificateCheck = defineCheck({
  kind: "certificate",
  summary:
    "How long the certificates of a server or a file still hold, and whether they are good for anything",
  why: "An expired or wrong certificate is an outage for everybody at once.",
  remedy: "Renew it and load it, with the whole chain and for the right name; then measure again.",
  limitUnits: ["duration"],
  input,
  async measure(context, settings): Promise<Measurement> {
    const path = (file: string) => resolve(context.environment.directory, file);
    const authorities = async () =>
      settings.trusted ? trustedAuthorities(settings.ca && path(settings.ca)) : [];
    if (settings.file !== undefined) {
      const file = path(settings.file);
      const certificates = await certificatesIn({
        path: file,
        passphrase:
          settings.passphrase &&
          (await new Secret(settings.passphrase, context.environment.directory).reveal()),
        signal: context.signal,
      });
      const untrusted = settings.trusted
        ? await untrustedReason(certificates, await authorities(), context.signal)
        : null;
      return measured(context, { place: file, certificates, untrusted, settings, connection: null });
    }
    const { host, port } = hostAndPort(settings.host ?? "", 443);
    const name = settings.name ?? host;
    const place = `${host}:${port}`;
    let peer: PeerCertificates;
    try {
      peer = await peerCertificates({
        host,
        port,
        name,
        starttls: settings.starttls,
        authorities: await authorities(),
        timeout: settings.timeout,
        signal: context.signal,
      });
    } catch (error) {
      if (!(error instanceof OpsError) || error.code !== "E_TLS_NOT_OFFERED") throw error;
      const evidence: CertificateEvidence = {
        place,
        problems: [error.message],
        certificates: [],
        connection: null,
        trusted: null,
      };
      return { value: null, shown: "no TLS", evidence };
    }
    const { certificates, address, protocol, cipher } = peer;
    return measured(context, {
      place,
      certificates,
      // Its dates are judged by themselves.
      untrusted: !settings.trusted || peer.untrusted === "CERT_HAS_EXPIRED" ? null : peer.untrusted,
      settings: { ...settings, name },
      connection: { address, protocol, cipher },
    });
  },
  judge: ({ value, evidence }, _input, limits) => judge(value, evidence as CertificateEvidence, limits),
});

interface Seen {
  readonly place: string;
  readonly certificates: readonly X509Certificate[];
  readonly untrusted: string | null;
  readonly settings: z.output<typeof input>;
  readonly connection: CertificateEvidence["connection"];
}

function measured(context: OperationContext, seen: Seen): Measurement {
  const { place, certificates, untrusted, settings, connection } = seen;
  const now = context.clock.now().getTime();
  const shown = certificates.map((each) => ({
    ...certificateFacts(each),
    left: each.validToDate.getTime() - now,
  }));
  const [leaf] = certificates;
  const early = shown.filter((each) => Date.parse(each.notBefore) > now);
  const isWrongName = leaf !== undefined && settings.name !== undefined && !isFor(leaf, settings.name);
  const problems = [
    ...shown.filter((each) => each.left <= 0).map((each) => `${shownName(each)} expired ${ago(each)}`),
    ...early.map((each) => `${shownName(each)} is not valid before ${each.notBefore}`),
    ...(isWrongName ? [`it is for ${namesShown(shown[0])}, not for ${settings.name}`] : []),
    ...(untrusted === null
      ? []
      : [`it does not lead to an authority that is trusted: ${sentence(untrusted)}`]),
    ...certificates.flatMap((each, index) =>
      weaknessesOf(each).map((what) => `${shownName(shown[index] ?? noName)} has the weak ${what}`),
    ),
  ];
  const first = shown.reduce<Shown | undefined>(sooner, undefined);
  const evidence: CertificateEvidence = {
    place,
    problems,
    certificates: shown,
    connection,
    trusted: settings.trusted ? untrusted === null : null,
  };
  const text = first === undefined ? "nothing" : expiry(first);
  return { value: first?.left ?? null, shown: text, evidence };
}

function judge(value: Measurement["value"], evidence: CertificateEvidence, limits: CheckLimits): Judgement {
  const { place, problems, certificates } = evidence;
  if (problems.length > 0) return { status: "fail", reason: `${place}: ${problems.join("; ")}` };
  const first = certificates.reduce<Shown | undefined>(sooner, undefined);
  if (typeof value !== "number" || first === undefined)
    return { status: "unknown", reason: `${place} has no certificate` };
  const { fail = usualLimit, warn } = limits;
  for (const [status, limit] of [["fail", fail] as const, ["warn", warn] as const]) {
    if (limit === undefined || !exceeds(value, limit)) continue;
    const over = certificates.filter((each) => exceeds(each.left, limit)).length;
    const many = certificates.length > 1 ? `${over} of ${certificates.length} certificates, ` : "";
    return { status, reason: `${many}${expiry(first)}, limit ${limit.text.trim()}` };
  }
  return { status: "pass", reason: `${expiry(first)}, limit ${fail.text.trim()}` };
}

const noName = { names: [], subject: "" };
const sooner = (a: Shown | undefined, b: Shown) => (a === undefined || b.left < a.left ? b : a);
const ago = ({ left, notAfter }: Shown) => `${formatDuration(-left)} ago (${notAfter.slice(0, 10)})`;

/** `app.example.com expires in 5d 3h (2026-11-27)` */
function expiry(each: Shown): string {
  if (each.left <= 0) return `${shownName(each)} expired ${ago(each)}`;
  return `${shownName(each)} expires in ${formatDuration(each.left)} (${each.notAfter.slice(0, 10)})`;
}

function namesShown(each: CertificateFacts | undefined): string {
  if (each === undefined || each.names.length === 0) return shownName(each ?? noName);
  const more = each.names.length > 3 ? ` and ${each.names.length - 3} more` : "";
  return `${each.names.slice(0, 3).join(", ")}${more}`;
}

/** `DEPTH_ZERO_SELF_SIGNED_CERT` as a person says it; others as they are. */
function sentence(code: string): string {
  const known: Readonly<Record<string, string>> = {
    DEPTH_ZERO_SELF_SIGNED_CERT: "it is self-signed",
    SELF_SIGNED_CERT_IN_CHAIN: "its chain ends in an unknown authority",
    UNABLE_TO_GET_ISSUER_CERT_LOCALLY: "an issuer is missing from the chain, or unknown",
    UNABLE_TO_VERIFY_LEAF_SIGNATURE: "its issuer is missing from the chain, or unknown",
  };
  return known[code] ?? code;
}
