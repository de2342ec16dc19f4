import { X509Certificate } from "node:crypto";
import { readFile } from "node:fs/promises";
import { causeText, OpsError } from "../core/errors.ts";
import { redact } from "../core/redaction.ts";
import { runProgram } from "../process/run-program.ts";

export interface CertificateFile {
  /** Absolute path of a PEM, DER or PKCS#12 file. */
  readonly path: string;
  /** Of a PKCS#12 file; it goes to openssl on its standard input. */
  readonly passphrase: string | undefined;
  readonly signal?: AbortSignal | undefined;
}

/**
 * The certificates in a file, that of the server first. PKCS#12 is read by the openssl program. Throws
 * `E_CERTIFICATE_FILE`, and `E_PROGRAM_MISSING` where openssl is needed and not there.
 */
export async function certificatesIn(file: CertificateFile): Promise<X509Certificate[]> {
  const bytes = await readFile(file.path).catch((error: unknown) => {
    throw unusable(file.path, "cannot be read", causeText(error));
  });
  const text = bytes.toString("latin1");
  if (text.includes("-----BEGIN ")) return parsed(file.path, pemCertificates(text));
  try {
    return [new X509Certificate(bytes)];
  } catch {
    // No certificate by itself: PKCS#12 then, or nothing that openssl knows either.
    return parsed(file.path, await fromPkcs12(file));
  }
}

/** Every certificate in a PEM text, each as PEM. */
export function pemCertificates(text: string): string[] {
  const blocks = text.matchAll(
    /-----BEGIN (?:X509 )?CERTIFICATE-----([\s\S]*?)-----END (?:X509 )?CERTIFICATE-----/g,
  );
  return [...blocks].map(([, body = ""]) => `-----BEGIN CERTIFICATE-----${body}-----END CERTIFICATE-----\n`);
}

async function fromPkcs12({ path, passphrase = "", signal }: CertificateFile): Promise<string[]> {
  const read = (options: readonly string[]) =>
    runProgram("openssl", ["pkcs12", "-in", path, "-nokeys", "-passin", "stdin", ...options], {
      input: `${passphrase}\n`,
      signal,
    });
  const first = await read([]);
  // Files of before OpenSSL 3 are sealed with RC2, which it has in a module of its own.
  const result = first.exitCode === 0 ? first : await read(["-legacy"]);
  if (result.exitCode === 0) return pemCertificates(result.stdout);
  const said = `${first.stderr}\n${result.stderr}`;
  const isPassphrase = /mac verify (error|failure)|invalid password/i.test(said);
  throw unusable(
    path,
    isPassphrase ? "does not open with this passphrase" : "is neither PEM nor DER nor PKCS#12",
    redact(first.stderr.trim().split("\n")[0] ?? ""),
  );
}

function parsed(path: string, pems: readonly string[]): X509Certificate[] {
  let certificates: X509Certificate[];
  try {
    certificates = pems.map((each) => new X509Certificate(each));
  } catch (error) {
    throw unusable(path, "has a damaged certificate", causeText(error));
  }
  if (certificates.length === 0) throw unusable(path, "has no certificate");
  // In a PKCS#12 file authorities may stand first.
  const isIssuer = (each: X509Certificate) =>
    certificates.some((other) => other !== each && other.checkIssued(each));
  return [...certificates.filter((each) => !isIssuer(each)), ...certificates.filter(isIssuer)];
}

function unusable(path: string, why: string, cause?: string): OpsError {
  return new OpsError("E_CERTIFICATE_FILE", `The certificate file ${path} ${why}`, {
    ...(cause === undefined || cause === "" ? {} : { cause }),
    hint: 'write the path of a PEM, DER or PKCS#12 file after "file:", and the passphrase of the last as a reference',
    retryable: false,
  });
}
