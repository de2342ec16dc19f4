import { randomUUID } from "node:crypto";
import type { Environment, S3StoreTarget, StoreTarget } from "../config/environment.ts";
import { placeOfStore } from "../config/store-target.ts";
import { sealerFor } from "../crypto/encryption.ts";
import { recipientsOf } from "../crypto/identity.ts";
import { bareRecipient } from "../crypto/recipient.ts";
import { readObject } from "../storage/object-store.ts";
import { openStore } from "../storage/open-store.ts";
import { freeSpace, writableDirectory } from "./directory.ts";
import { type Finding, missing, missingBecause, ok, warn } from "./finding.ts";

/** The folder and its disk, or the bucket; and the keys of the backups. */
export async function storeFindings(
  environment: Environment,
  name: string,
  signal?: AbortSignal,
): Promise<Finding[]> {
  const target = environment.store(name);
  if (target.kind === "s3") {
    return Promise.all([bucket(`store ${name}`, target, signal), keys(`keys of ${name}`, target)]);
  }
  return Promise.all([
    writableDirectory(`store ${name}`, target.directory),
    freeSpace(`disk of ${name}`, target.directory),
    keys(`keys of ${name}`, target),
  ]);
}

/** One try of each: a person waits for the answer. */
const patience = { attempts: 1, firstAttempts: 1, connect: 5_000, idle: 10_000 };

/** Whether objects can be written, listed, read and deleted. Leaves nothing behind; a bucket with Object Lock is only listed. */
async function bucket(subject: string, target: S3StoreTarget, signal?: AbortSignal): Promise<Finding> {
  const place = placeOfStore(target);
  const store = openStore(target, { patience });
  const probe = `ops-doctor-${randomUUID()}`;
  const options = signal === undefined ? {} : { signal };
  try {
    if (target.objectLock !== undefined) {
      for await (const _ of store.list(probe));
      return ok(subject, `${place} can be listed; writing is not tried, since what is written there stays`);
    }
    await store.putIfAbsent(probe, Buffer.from("probe"), options);
    try {
      for await (const _ of store.list(probe));
      await readObject(store, probe);
    } finally {
      await store.delete(probe);
    }
    return ok(subject, `${place} can be written, listed, read and deleted in`);
  } catch (error) {
    return missingBecause(subject, error, `correct "stores: ${target.name}:" in .opsrc (docs/stores.md)`);
  }
}

async function keys(subject: string, target: StoreTarget): Promise<Finding> {
  const place = `"stores: ${target.name}:" in .opsrc`;
  if (target.encryptionMethod === "aes-256-gcm" || target.passphrase !== undefined) {
    return symmetricKeys(subject, target, place);
  }
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
    if (own.some((each) => target.recipients.map(bareRecipient).includes(each))) {
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

/** A key that encrypts and opens; AWS KMS is asked, where it has one. */
async function symmetricKeys(subject: string, target: StoreTarget, place: string): Promise<Finding> {
  try {
    const { method } = await sealerFor(target);
    const by = target.passphrase === undefined ? method : "a passphrase";
    return ok(subject, `new backups are encrypted by ${by}, and opened with the same key`);
  } catch (error) {
    return missingBecause(subject, error, `correct "encryption-key:", "kms:" or "passphrase:" of ${place}`);
  }
}
