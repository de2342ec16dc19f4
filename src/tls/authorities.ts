import { readFile } from "node:fs/promises";
import { getCACertificates } from "node:tls";
import { OpsError } from "../core/errors.ts";
import { pemCertificates } from "./certificate-file.ts";

/**
 * Who may sign, as PEM: those in a file, or everybody whom the system and Node trust. Throws `E_CERTIFICATE_FILE` where
 * the file has none.
 *
 * @param file absolute path
 */
export async function trustedAuthorities(file: string | undefined): Promise<string[]> {
  if (file === undefined)
    return [...new Set([...getCACertificates("default"), ...getCACertificates("system")])];
  let text: string;
  try {
    text = await readFile(file, "utf8");
  } catch (error) {
    throw noAuthorities(file, "cannot be read", error);
  }
  const found = pemCertificates(text);
  if (found.length === 0) throw noAuthorities(file, "has no certificate");
  return found;
}

function noAuthorities(file: string, why: string, cause?: unknown): OpsError {
  return new OpsError("E_CERTIFICATE_FILE", `The file of authorities ${file} ${why}`, {
    cause,
    hint: 'write the path of a PEM file after "ca:", relative to the configuration file',
    retryable: false,
  });
}
