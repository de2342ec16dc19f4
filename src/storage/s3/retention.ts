import type { Connection } from "./connection.ts";
import type { UploadHeaders } from "./multipart-upload.ts";

/** Throws `E_OBJECT_LOCK` where the bucket has no Object Lock; some servers would take the retention and forget it. */
export async function requireObjectLock(connection: Connection): Promise<void> {
  await connection.request<void>(
    "",
    async (s3, options) => {
      await s3.getObjectLockConfiguration({ Bucket: connection.target.bucket }, options);
    },
    // Keys may write and not look at the bucket's settings; then the write itself shows it.
    { answers: { AccessDenied: () => undefined, NotImplemented: () => undefined } },
  );
}

/**
 * Sees to it that an object that was uploaded in parts is retained as its upload asked for: some servers (Ceph 16) take
 * the request for an upload in parts and forget it.
 */
export async function retain(
  connection: Connection,
  name: string,
  key: string,
  { ObjectLockMode: Mode, ObjectLockRetainUntilDate: RetainUntilDate }: UploadHeaders,
): Promise<void> {
  if (Mode === undefined || RetainUntilDate === undefined) return;
  const place = { Bucket: connection.target.bucket, Key: key };
  const { VersionId, ObjectLockRetainUntilDate: until } = await connection.request(name, (s3, options) =>
    s3.headObject(place, options),
  );
  // Servers keep whole seconds.
  if (until !== undefined && until.getTime() > RetainUntilDate.getTime() - 1_000) return;
  const version = VersionId === undefined ? place : { ...place, VersionId };
  await connection.request(name, async (s3, options) => {
    await s3.putObjectRetention({ ...version, Retention: { Mode, RetainUntilDate } }, options);
  });
}
