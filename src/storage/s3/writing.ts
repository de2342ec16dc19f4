import { randomBytes } from "node:crypto";
import { OpsError } from "../../core/errors.ts";
import { isLocked } from "../locked.ts";
import { partialSuffix } from "../object-name.ts";
import { Measured, type Written } from "../object-store.ts";
import type { Connection } from "./connection.ts";
import { deleteKey } from "./deletion.ts";
import { MultipartUpload, type UploadHeaders } from "./multipart-upload.ts";
import { PartBuffers, parallelParts } from "./part-buffers.ts";
import { retain } from "./retention.ts";

/**
 * How an upload is cut. S3 takes 10,000 parts of 5 MiB to 5 GiB each, and memory must stay small; so most parts are as
 * large as a buffer, and the last ones are put together on the server from a helper object of many such buffers.
 */
export interface UploadPlan {
  readonly partBytes: number;
  /** Parts of the first kind. */
  readonly directParts: number;
  /** Size of a helper object. */
  readonly segmentBytes: number;
  readonly maximumParts: number;
}

/** 5 MiB × 5,000 + 1 GiB × 5,000: 4.9 TiB, just under the largest object that S3 takes (5 TiB). */
export const usualPlan: UploadPlan = {
  partBytes: 5 * 2 ** 20,
  directParts: 5_000,
  segmentBytes: 2 ** 30,
  maximumParts: 10_000,
};

export interface NewObject {
  readonly name: string;
  readonly key: string;
  readonly headers: UploadHeaders & { readonly Metadata: Record<string, string> };
}

/** The key of the object that a helper object belongs to; undefined for any other key. */
export function partialOf(key: string): string | undefined {
  return /^(.*)~[0-9a-f]{8}\.partial$/.exec(key)?.[1];
}

/** A small stream by one request, a larger one in parts. Where anything fails, no part stays on the server. */
export async function writeStream(
  connection: Connection,
  plan: UploadPlan,
  object: NewObject,
  body: AsyncIterable<Uint8Array>,
  signal: AbortSignal | undefined,
): Promise<Written> {
  signal?.throwIfAborted();
  const measured = new Measured();
  const buffers = new PartBuffers(measured.through(body), plan.partBytes);
  try {
    const first = await buffers.next();
    signal?.throwIfAborted();
    if (first.length < plan.partBytes) await putWhole(connection, object, first, signal);
    else await new StreamUpload(connection, plan, object, buffers, signal).write(first);
    return measured.finish();
  } finally {
    await buffers.close();
  }
}

async function putWhole(
  connection: Connection,
  { name, key, headers }: NewObject,
  body: Buffer,
  signal: AbortSignal | undefined,
): Promise<void> {
  const place = { Bucket: connection.target.bucket, Key: key };
  await connection.request(
    name,
    async (s3, options) => {
      await s3.putObject({ ...headers, ...place, Body: body }, options);
    },
    { signal },
  );
}

class StreamUpload {
  private readonly connection: Connection;
  private readonly plan: UploadPlan;
  private readonly object: NewObject;
  private readonly buffers: PartBuffers;
  /** Aborts every request of this upload at its first failure. */
  private readonly failed = new AbortController();
  private readonly signal: AbortSignal;
  private readonly onTheirWay = new Set<Promise<void>>();

  constructor(
    connection: Connection,
    plan: UploadPlan,
    object: NewObject,
    buffers: PartBuffers,
    signal: AbortSignal | undefined,
  ) {
    this.connection = connection;
    this.plan = plan;
    this.object = object;
    this.buffers = buffers;
    this.signal = signal === undefined ? this.failed.signal : AbortSignal.any([signal, this.failed.signal]);
  }

  async write(first: Buffer): Promise<void> {
    const { name, key, headers } = this.object;
    await this.uploaded(key, headers, async (upload) => {
      let part = first;
      for (let number = 1; part.length > 0; number += 1) {
        if (number > this.plan.maximumParts) throw this.tooLarge();
        if (number <= this.plan.directParts) {
          await this.send(upload, number, part);
          part = await this.buffers.next();
        } else {
          part = await this.segment(upload, number, part);
        }
      }
    });
    try {
      await retain(this.connection, name, key, headers);
    } catch (error) {
      await deleteKey(this.connection, name, key);
      throw error;
    }
  }

  /** One part from a helper object; gives the first buffer behind it. */
  private async segment(upload: MultipartUpload, number: number, first: Buffer): Promise<Buffer> {
    const { name, key, headers } = this.object;
    const helper = `${key}~${randomBytes(4).toString("hex")}${partialSuffix}`;
    const { ObjectLockMode: _, ObjectLockRetainUntilDate: __, ...unlocked } = headers;
    let part = first;
    await this.uploaded(helper, unlocked as NewObject["headers"], async (piece) => {
      const count = Math.max(1, Math.floor(this.plan.segmentBytes / this.plan.partBytes));
      for (let each = 1; each <= count && part.length > 0; each += 1) {
        await this.send(piece, each, part);
        part = await this.buffers.next();
      }
    });
    let copied: unknown;
    try {
      await upload.copy(number, helper, this.signal);
    } catch (error) {
      copied = error;
    }
    try {
      await deleteKey(this.connection, name, helper);
    } catch (error) {
      // A bucket may lock all that is written to it; the helper then stays until the end of that retention.
      if (copied === undefined && !isLocked(error)) throw error;
    }
    if (copied !== undefined) throw copied;
    return part;
  }

  /** An upload that is complete afterwards, or gone where that fails. */
  private async uploaded(
    key: string,
    headers: NewObject["headers"],
    fill: (upload: MultipartUpload) => Promise<void>,
  ): Promise<void> {
    const upload = await MultipartUpload.begin(this.connection, this.object.name, key, headers, this.signal);
    try {
      await fill(upload);
      await Promise.all(this.onTheirWay);
      this.signal.throwIfAborted();
      await upload.complete(this.signal);
    } catch (error) {
      this.failed.abort(error);
      await Promise.allSettled(this.onTheirWay);
      await this.abandon(upload, error);
      throw error;
    }
  }

  /** Where the server cannot be told either, the error says that parts are left, and what removes them. */
  private async abandon(upload: MultipartUpload, error: unknown): Promise<void> {
    try {
      await upload.abort();
    } catch (abortError) {
      if (!(error instanceof OpsError) || !(abortError instanceof OpsError)) return;
      throw new OpsError(error.code as `E_${string}`, error.message, {
        cause: error.cause,
        hint: `${error.hint ?? "run it again"}; parts of the upload may be left: ops backup prune removes them`,
        exitCode: error.exitCode,
        retryable: error.retryable,
      });
    }
  }

  /** Begins to send a part, when there is room for one more. Throws the failure of an earlier one. */
  private async send(upload: MultipartUpload, number: number, part: Buffer): Promise<void> {
    const sending = upload.send(number, part, this.signal).then(
      () => {
        this.onTheirWay.delete(sending);
        this.buffers.release(part);
      },
      (error) => {
        this.failed.abort(error);
        throw error;
      },
    );
    this.onTheirWay.add(sending);
    // Thrown where it is awaited.
    sending.catch(() => undefined);
    while (this.onTheirWay.size >= parallelParts(this.plan.partBytes)) await Promise.race(this.onTheirWay);
    this.signal.throwIfAborted();
  }

  private tooLarge(): OpsError {
    return new OpsError(
      "E_STORE",
      `${this.connection.location}: "${this.object.name}" is larger than S3 takes`,
      {
        hint: "raise part-size of the store in .opsrc, or leave some tables out",
        retryable: false,
      },
    );
  }
}
