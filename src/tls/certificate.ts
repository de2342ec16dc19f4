import type { X509Certificate } from "node:crypto";
import { isIP } from "node:net";

/** What a certificate says, as evidence: nothing of it is secret. */
export type CertificateFacts = {
  /** `CN=app.example.com, O=Example` */
  subject: string;
  issuer: string;
  /** What it is for: `app.example.com`, `10.0.0.1`. */
  names: string[];
  /** ISO 8601, UTC. */
  notBefore: string;
  notAfter: string;
  /** Of the whole certificate, in hexadecimal with colons. */
  sha256: string;
  serial: string;
  /** `RSA 2048`, `EC prime256v1`, `ED25519`. */
  key: string;
  /** As OpenSSL calls it: `sha256WithRSAEncryption`. */
  signature: string | null;
};

export function certificateFacts(certificate: X509Certificate): CertificateFacts {
  return {
    subject: oneLine(certificate.subject),
    issuer: oneLine(certificate.issuer),
    names: namesOf(certificate),
    notBefore: certificate.validFromDate.toISOString(),
    notAfter: certificate.validToDate.toISOString(),
    sha256: certificate.fingerprint256,
    serial: certificate.serialNumber,
    key: keyOf(certificate),
    signature: certificate.signatureAlgorithm ?? null,
  };
}

/** For a person: the first name that it is for, else its subject. */
export function shownName({ names, subject }: Pick<CertificateFacts, "names" | "subject">): string {
  return names[0] ?? (/(?:^|, )CN=([^,]+)/.exec(subject)?.[1] || subject || "a certificate without a name");
}

/** Bits of RSA and DSA keys, and of elliptic curves, that are still enough (NIST SP 800-57: 112 bits of strength). */
const enoughBits = { modulus: 2048, curve: 224 };

/** What nobody should rely on any more: `RSA 1024`, `signed with sha1WithRSAEncryption`. */
export function weaknessesOf(certificate: X509Certificate): string[] {
  const { modulusLength, namedCurve } = certificate.publicKey.asymmetricKeyDetails ?? {};
  const curve = Number(/(\d{3})[a-z]\d$/.exec(namedCurve ?? "")?.[1] ?? Number.POSITIVE_INFINITY);
  const weakKey =
    (modulusLength ?? Number.POSITIVE_INFINITY) < enoughBits.modulus || curve < enoughBits.curve;
  const algorithm = certificate.signatureAlgorithm ?? "";
  // Nobody verifies the signature of a certificate by itself: it is trusted as it is, or not at all.
  const weakSignature = !isSelfIssued(certificate) && /sha1(?!\d)|md[245]/i.test(algorithm);
  return [
    ...(weakKey ? [`key ${keyOf(certificate)}`] : []),
    ...(weakSignature ? [`signature ${algorithm}`] : []),
  ];
}

/** Whether a certificate is for a host: a DNS name, or an IP address. */
export function isFor(certificate: X509Certificate, host: string): boolean {
  return (isIP(host) === 0 ? certificate.checkHost(host) : certificate.checkIP(host)) !== undefined;
}

function isSelfIssued(certificate: X509Certificate): boolean {
  return certificate.subject === certificate.issuer && certificate.checkIssued(certificate);
}

function keyOf({ publicKey }: X509Certificate): string {
  const { modulusLength, namedCurve } = publicKey.asymmetricKeyDetails ?? {};
  const type = (publicKey.asymmetricKeyType ?? "unknown").toUpperCase();
  return [type, modulusLength ?? namedCurve].filter((each) => each !== undefined).join(" ");
}

/** `DNS:a.example.com, IP Address:10.0.0.1`; a name with a comma in it comes in quotes and is left out. */
function namesOf({ subjectAltName = "" }: X509Certificate): string[] {
  return [...subjectAltName.matchAll(/(?:^|, )(?:DNS|IP Address):([^",]+)/g)].map(([, each = ""]) => each);
}

function oneLine(name: string): string {
  return (name ?? "").split("\n").join(", ");
}
