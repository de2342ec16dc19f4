import { randomBytes } from "node:crypto";
import type { PutObjectRequest } from "@aws-sdk/client-s3";
import type { S3StoreTarget } from "../../config/environment.ts";
import { checkObjectName, partialSuffix } from "../object-name.ts";
import type {
  ObjectStore,
  ReadOptions,
  StoredObject,
  UnfinishedWrite,
  WriteOptions,
  Written,
} from "../object-store.ts";
import { Connection, type Patience, usualPatience } from "./connection.ts";
import { deleteKey } from "./deletion.ts";
import { keysOf } from "./listing.ts";
import { abortUpload, abortUploads, unfinishedUploads, writerKey } from "./multipart-upload.ts";
import { readRange } from "./reading.ts";
import { requireObjectLock } from "./retention.ts";
import { partialOf, type UploadPlan, usualPlan, writeStream } from "./writing.ts";

export interface S3StoreOptions {
  readonly patience?: Partial<Patience>;
  readonly plan?: Partial<UploadPlan>;
}

/**
 * Objects of a bucket, under a prefix. Large ones go up in parts, several at a time, in bounded memory; the object
 * appears when the server has put them together. Needs nothing of the server but the S3 protocol with multipart uploads
 * and conditional writes.
 */
export class S3Store implements ObjectStore {
  readonly location: string;
  private readonly target: S3StoreTarget;
  private readonly connection: Connection;
  private readonly plan: UploadPlan;
  private readonly base: string;
  private lockable: Promise<void> | undefined;

  constructor(target: S3StoreTarget, options: S3StoreOptions = {}) {
    this.target = target;
    this.base = target.prefix === "" ? "" : `${target.prefix}/`;
    this.location = `s3://${[target.bucket, target.prefix].filter((each) => each !== "").join("/")}`;
    this.connection = new Connection(target, this.location, { ...usualPatience, ...options.patience });
    const partBytes = target.partSize ?? usualPlan.partBytes;
    this.plan = { ...usualPlan, partBytes, ...options.plan };
  }

  async put(name: string, body: AsyncIterable<Uint8Array>, options: WriteOptions = {}): Promise<Written> {
    const key = this.key(name);
    const headers = await this.headers(options);
    return writeStream(this.connection, this.plan, { name, key, headers }, body, options.signal);
  }

  async putIfAbsent(name: string, body: Uint8Array, options: WriteOptions = {}): Promise<boolean> {
    const place = { Bucket: this.target.bucket, Key: this.key(name) };
    const headers = await this.headers(options);
    return this.connection.request<boolean>(
      name,
      async (s3, sending) => {
        await s3.putObject({ ...headers, ...place, Body: body, IfNoneMatch: "*" }, sending);
        return true;
      },
      {
        signal: options.signal,
        answers: {
          // After a lost answer it may be our own object that is in the way.
          PreconditionFailed: async (attempt) =>
            attempt > 1 && (await this.writerOf(name)) === headers.Metadata[writerKey],
        },
      },
    );
  }

  async replace(name: string, body: Uint8Array, options: WriteOptions = {}): Promise<void> {
    const place = { Bucket: this.target.bucket, Key: this.key(name) };
    const headers = await this.headers(options);
    await this.connection.request(
      name,
      async (s3, sending) => {
        await s3.putObject({ ...headers, ...place, Body: body }, sending);
      },
      { signal: options.signal },
    );
  }

  get(name: string, options: ReadOptions = {}): AsyncGenerator<Uint8Array> {
    return readRange(this.connection, name, this.key(name), options);
  }

  async *list(prefix: string): AsyncGenerator<StoredObject> {
    for await (const { key, bytes } of keysOf(this.connection, this.base + prefix)) {
      // Consoles make empty objects for folders.
      if (!key.endsWith(partialSuffix) && !key.endsWith("/"))
        yield { name: key.slice(this.base.length), bytes };
    }
  }

  async *unfinished(prefix: string): AsyncGenerator<UnfinishedWrite> {
    for await (const { key, id, startedAt } of unfinishedUploads(this.connection, this.base + prefix)) {
      const name = (partialOf(key) ?? key).slice(this.base.length);
      yield { name, startedAt, remove: () => abortUpload(this.connection, name, key, id) };
    }
    for await (const { key, modified } of keysOf(this.connection, this.base + prefix)) {
      const whole = partialOf(key);
      if (whole === undefined) continue;
      const name = whole.slice(this.base.length);
      yield { name, startedAt: modified, remove: () => deleteKey(this.connection, name, key) };
    }
  }

  async delete(name: string): Promise<void> {
    const key = this.key(name);
    await deleteKey(this.connection, name, key);
    await abortUploads(this.connection, name, key);
    for await (const partial of keysOf(this.connection, `${key}~`)) {
      if (partialOf(partial.key) === key) await deleteKey(this.connection, name, partial.key);
    }
    for await (const upload of unfinishedUploads(this.connection, `${key}~`)) {
      if (partialOf(upload.key) === key) await abortUpload(this.connection, name, upload.key, upload.id);
    }
  }

  private key(name: string): string {
    checkObjectName(name);
    return this.base + name;
  }

  /** What every new object is given. Throws `E_OBJECT_LOCK` for a retention that the bucket cannot hold. */
  private async headers(options: WriteOptions) {
    const { encryption, storageClass, objectLock } = this.target;
    const until =
      options.retainUntil ?? (objectLock === undefined ? undefined : new Date(Date.now() + objectLock.for));
    if (until !== undefined) {
      this.lockable ??= requireObjectLock(this.connection).catch((error) => {
        this.lockable = undefined;
        throw error;
      });
      await this.lockable;
    }
    return {
      ContentType: "application/octet-stream",
      Metadata: { [writerKey]: randomBytes(16).toString("hex") },
      ...(encryption === undefined ? {} : { ServerSideEncryption: encryption.algorithm }),
      ...(encryption?.kmsKey === undefined ? {} : { SSEKMSKeyId: encryption.kmsKey }),
      ...(storageClass === undefined ? {} : { StorageClass: storageClass }),
      ...(until === undefined
        ? {}
        : {
            ObjectLockMode: objectLock?.mode === "compliance" ? "COMPLIANCE" : "GOVERNANCE",
            ObjectLockRetainUntilDate: until,
          }),
    } as Omit<PutObjectRequest, "Bucket" | "Key"> & { readonly Metadata: Record<string, string> };
  }

  private async writerOf(name: string): Promise<string | undefined> {
    const place = { Bucket: this.target.bucket, Key: this.key(name) };
    return this.connection.request<string | undefined>(
      name,
      (s3, sending) => s3.headObject(place, sending).then((found) => found.Metadata?.[writerKey]),
      { answers: { NoSuchKey: () => undefined } },
    );
  }
}
