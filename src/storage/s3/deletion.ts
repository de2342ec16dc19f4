import { OpsError } from "../../core/errors.ts";
import type { Connection } from "./connection.ts";

/**
 * Removes what is under the key; not an error where there is nothing. Where Object Lock is in use, all versions of it, so
 * that nothing stays that costs money; throws `E_OBJECT_LOCKED`, and removes nothing, while one of them is retained.
 */
export async function deleteKey(connection: Connection, name: string, key: string): Promise<void> {
  const current = await lockOf(connection, name, key);
  refuseLocked(connection, name, current);
  if (connection.target.objectLock === undefined && current?.retained !== true) {
    await remove(connection, name, key);
    return;
  }
  const versions = await versionsOf(connection, key);
  for (const { id, marker } of versions) {
    if (!marker) refuseLocked(connection, name, await lockOf(connection, name, key, id));
  }
  for (const { id } of versions) await remove(connection, name, key, id);
}

interface Lock {
  /** Whether there was ever a retention. */
  readonly retained: boolean;
  readonly until: Date | undefined;
  readonly legalHold: boolean;
}

async function lockOf(
  connection: Connection,
  name: string,
  key: string,
  version?: string,
): Promise<Lock | undefined> {
  const place = { Bucket: connection.target.bucket, Key: key };
  return connection.request<Lock | undefined>(
    name,
    async (s3, options) => {
      const found = await s3.headObject(
        version === undefined ? place : { ...place, VersionId: version },
        options,
      );
      return {
        retained: found.ObjectLockMode !== undefined,
        until: found.ObjectLockRetainUntilDate,
        legalHold: found.ObjectLockLegalHoldStatus === "ON",
      };
    },
    {
      answers: {
        NoSuchKey: () => undefined,
        NoSuchVersion: () => undefined,
        MethodNotAllowed: () => undefined,
      },
    },
  );
}

function refuseLocked(connection: Connection, name: string, lock: Lock | undefined): void {
  if (lock === undefined) return;
  const { until, legalHold } = lock;
  if (!legalHold && (until === undefined || until.getTime() <= Date.now())) return;
  const why = legalHold ? "it is under a legal hold" : `until ${until?.toISOString()}`;
  throw new OpsError(
    "E_OBJECT_LOCKED",
    `${connection.location}: "${name}" is locked and cannot be deleted: ${why}`,
    {
      hint: legalHold
        ? "whoever placed the hold can lift it"
        : "wait until then; with mode governance somebody who may bypass it can delete it before",
      details: { object: name, ...(until === undefined ? {} : { until: until.toISOString() }), legalHold },
      retryable: false,
    },
  );
}

async function versionsOf(
  connection: Connection,
  key: string,
): Promise<{ readonly id: string; readonly marker: boolean }[]> {
  const found: { id: string; marker: boolean }[] = [];
  let next: { KeyMarker?: string; VersionIdMarker?: string } | undefined = {};
  while (next !== undefined) {
    const from: { KeyMarker?: string; VersionIdMarker?: string } = next;
    const page = await connection.request("", (s3, options) =>
      s3.listObjectVersions({ Bucket: connection.target.bucket, Prefix: key, ...from }, options),
    );
    for (const each of page.Versions ?? [])
      if (each.Key === key && each.VersionId !== undefined) found.push({ id: each.VersionId, marker: false });
    for (const each of page.DeleteMarkers ?? [])
      if (each.Key === key && each.VersionId !== undefined) found.push({ id: each.VersionId, marker: true });
    next =
      page.IsTruncated === true && page.NextKeyMarker !== undefined
        ? {
            KeyMarker: page.NextKeyMarker,
            ...(page.NextVersionIdMarker === undefined ? {} : { VersionIdMarker: page.NextVersionIdMarker }),
          }
        : undefined;
  }
  return found;
}

async function remove(connection: Connection, name: string, key: string, version?: string): Promise<void> {
  const place = { Bucket: connection.target.bucket, Key: key };
  await connection.request(
    name,
    async (s3, options) => {
      await s3.deleteObject(version === undefined ? place : { ...place, VersionId: version }, options);
    },
    { answers: { NoSuchKey: () => undefined, NoSuchVersion: () => undefined } },
  );
}
