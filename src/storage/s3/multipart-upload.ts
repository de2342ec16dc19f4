import type { CreateMultipartUploadRequest } from "@aws-sdk/client-s3";
import { OpsError } from "../../core/errors.ts";
import type { Connection } from "./connection.ts";

interface Part {
  readonly PartNumber: number;
  readonly ETag: string;
}

/** Marks what one writer made, so that it knows its own object again when an answer was lost. */
export const writerKey = "ops-writer";

export type UploadHeaders = Omit<CreateMultipartUploadRequest, "Bucket" | "Key">;

/** One upload in parts. It exists on the server from `begin` until `complete` or `abort`. */
export class MultipartUpload {
  private readonly connection: Connection;
  private readonly name: string;
  private readonly key: string;
  private readonly id: string;
  private readonly writer: string;
  private readonly parts: Part[] = [];

  private constructor(connection: Connection, name: string, key: string, id: string, writer: string) {
    this.connection = connection;
    this.name = name;
    this.key = key;
    this.id = id;
    this.writer = writer;
  }

  static async begin(
    connection: Connection,
    name: string,
    key: string,
    headers: UploadHeaders & { readonly Metadata: Record<string, string> },
    signal: AbortSignal,
  ): Promise<MultipartUpload> {
    const Bucket = connection.target.bucket;
    let tries = 0;
    try {
      const { UploadId } = await connection.request(
        name,
        (s3, options, attempt) => {
          tries = attempt;
          return s3.createMultipartUpload({ ...headers, Bucket, Key: key }, options);
        },
        { signal },
      );
      if (UploadId === undefined) throw incomplete(connection, "no id of the upload");
      // A try whose answer was lost may have begun one too.
      if (tries > 1) await abortUploads(connection, name, key, UploadId);
      return new MultipartUpload(connection, name, key, UploadId, headers.Metadata[writerKey] ?? "");
    } catch (error) {
      if (tries > 0) await abortUploads(connection, name, key).catch(() => undefined);
      throw error;
    }
  }

  /** Sends a part; parts of different numbers may be on their way at the same time. */
  async send(number: number, body: Buffer, signal: AbortSignal): Promise<void> {
    const { ETag } = await this.connection.request(
      this.name,
      (s3, options) => s3.uploadPart({ ...this.place, PartNumber: number, Body: body }, options),
      { signal },
    );
    this.keep(number, ETag);
  }

  /** Makes a part of another object of the bucket, on the server. */
  async copy(number: number, key: string, signal: AbortSignal): Promise<void> {
    const CopySource = `${this.connection.target.bucket}/${key}`;
    const { CopyPartResult } = await this.connection.request(
      this.name,
      (s3, options) => s3.uploadPartCopy({ ...this.place, PartNumber: number, CopySource }, options),
      { signal, speed: "slow" },
    );
    this.keep(number, CopyPartResult?.ETag);
  }

  /** The object exists from here on. Where the answer is lost, the server is asked whether it does. */
  async complete(signal: AbortSignal): Promise<void> {
    const Parts = this.parts.toSorted((a, b) => a.PartNumber - b.PartNumber);
    try {
      await this.connection.request(
        this.name,
        async (s3, options) => {
          await s3.completeMultipartUpload({ ...this.place, MultipartUpload: { Parts } }, options);
        },
        { signal, speed: "slow" },
      );
    } catch (error) {
      if (!(await this.isThere())) throw error;
    }
  }

  /** Ends it on the server, and does so again while parts that were on their way still arrive. */
  async abort(): Promise<void> {
    for (let round = 0; round < 5; round += 1) {
      await abortUpload(this.connection, this.name, this.key, this.id);
      const gone = await this.connection.request<boolean>(
        this.name,
        (s3, options) => s3.listParts({ ...this.place, MaxParts: 1 }, options).then(() => false),
        { answers: { NoSuchUpload: () => true, NoSuchKey: () => true } },
      );
      if (gone) return;
      await this.connection.pause(round + 1, undefined);
    }
    throw incomplete(this.connection, "an upload that was ended still there");
  }

  private get place() {
    return { Bucket: this.connection.target.bucket, Key: this.key, UploadId: this.id };
  }

  private keep(number: number, tag: string | undefined): void {
    if (tag === undefined) throw incomplete(this.connection, "no tag of a part");
    this.parts.push({ PartNumber: number, ETag: tag });
  }

  private async isThere(): Promise<boolean> {
    return this.connection.request<boolean>(
      this.name,
      async (s3, options) => {
        const { Metadata } = await s3.headObject({ Bucket: this.place.Bucket, Key: this.key }, options);
        return Metadata?.[writerKey] === this.writer;
      },
      { answers: { NoSuchKey: () => false } },
    );
  }
}

/** Every upload of that key that is not finished, but the one to keep. */
export async function abortUploads(
  connection: Connection,
  name: string,
  key: string,
  keep?: string,
): Promise<void> {
  for await (const upload of unfinishedUploads(connection, key)) {
    if (upload.key === key && upload.id !== keep) await abortUpload(connection, name, key, upload.id);
  }
}

/** Not an error where there is none, or no more. */
export async function abortUpload(
  connection: Connection,
  name: string,
  key: string,
  id: string,
): Promise<void> {
  const place = { Bucket: connection.target.bucket, Key: key, UploadId: id };
  await connection.request(
    name,
    async (s3, options) => {
      await s3.abortMultipartUpload(place, options);
    },
    { answers: { NoSuchUpload: () => undefined, NoSuchKey: () => undefined } },
  );
}

export interface UnfinishedUpload {
  readonly key: string;
  readonly id: string;
  readonly startedAt: Date;
}

/** Uploads of keys that begin with the prefix. */
export async function* unfinishedUploads(
  connection: Connection,
  prefix: string,
): AsyncGenerator<UnfinishedUpload> {
  let marker: { KeyMarker?: string; UploadIdMarker?: string } | undefined = {};
  while (marker !== undefined) {
    const from: { KeyMarker?: string; UploadIdMarker?: string } = marker;
    const page = await connection.request("", (s3, options) =>
      s3.listMultipartUploads({ Bucket: connection.target.bucket, Prefix: prefix, ...from }, options),
    );
    for (const { Key, UploadId, Initiated } of page.Uploads ?? []) {
      if (Key !== undefined && UploadId !== undefined)
        yield { key: Key, id: UploadId, startedAt: Initiated ?? new Date(0) };
    }
    marker =
      page.IsTruncated === true && page.NextKeyMarker !== undefined
        ? {
            KeyMarker: page.NextKeyMarker,
            ...(page.NextUploadIdMarker === undefined ? {} : { UploadIdMarker: page.NextUploadIdMarker }),
          }
        : undefined;
  }
}

function incomplete(connection: Connection, what: string): OpsError {
  return new OpsError("E_STORE", `${connection.location}: the server's answer has ${what}`, {
    hint: "see that the endpoint is an S3 server: ops doctor",
  });
}
