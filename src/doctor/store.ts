import type { Environment, StoreTarget } from "../config/environment.ts";
import { recipientsOf } from "../crypto/identity.ts";
import { freeSpace, writableDirectory } from "./directory.ts";
import { type Finding, missing, missingBecause, ok, warn } from "./finding.ts";

/** The folder, its disk and its keys. */
export async function storeFindings(environment: Environment, name: string): Promise<Finding[]> {
  const target = environment.store(name);
  if (target.kind === "s3") return [await keys(`keys of ${name}`, target)];
  return Promise.all([
    writableDirectory(`store ${name}`, target.directory),
    freeSpace(`disk of ${name}`, target.directory),
    keys(`keys of ${name}`, target),
  ]);
}

async function keys(subject: string, target: StoreTarget): Promise<Finding> {
  const place = `"stores: ${target.name}:" in .opsrc`;
  if (target.recipients.length === 0) {
    const mend = `age-keygen -o identity.txt, then add its public key under "recipients:" of ${place}`;
    return missing(subject, "no recipient to encrypt backups to", mend);
  }
  if (target.identity === undefined) {
    const mend = `add "identity: file:/path/to/identity.txt" to ${place} where backups are verified`;
    return warn(subject, "no identity: backups can be made here, not verified or restored", mend);
  }
  try {
    const own = await recipientsOf(await target.identity.reveal());
    if (own.some((each) => target.recipients.includes(each))) {
      return ok(subject, "the identity opens what is encrypted to the recipients");
    }
    return missing(
      subject,
      `the identity (${target.identity.shown}) belongs to none of the recipients: it opens no new backup`,
      `add ${own[0] ?? "its public key"} under "recipients:" of ${place}, or name the right identity`,
    );
  } catch (error) {
    return missingBecause(subject, error, `correct "identity:" of ${place}`);
  }
}
