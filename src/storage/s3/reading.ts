import type { Readable } from "node:stream";
import { OpsError } from "../../core/errors.ts";
import { BufferCollection } from "../buffer-collection.ts";
import type { ReadOptions } from "../object-store.ts";
import type { Connection } from "./connection.ts";
import { storeError } from "./failure.ts";

interface Answer {
  readonly body: Readable;
  readonly bytes: number;
  readonly tag: string | undefined;
}

/**
 * The object's bytes. Where the connection breaks, or the body ends too early, reading goes on from there, of the same
 * object: `E_OBJECT_CHANGED` where another one has taken its place.
 */
export async function* readRange(
  connection: Connection,
  name: string,
  key: string,
  { start = 0, end, signal }: ReadOptions,
): AsyncGenerator<Uint8Array> {
  if (end !== undefined && end <= start) return;
  const garbage = new BufferCollection();
  let offset = start;
  let whole: { readonly end: number; readonly tag: string | undefined } | undefined;
  for (let failures = 0; whole === undefined || offset < whole.end; ) {
    const answer = await ask(
      connection,
      name,
      key,
      { start: offset, end: whole?.end ?? end, signal },
      whole?.tag,
    );
    if (answer === undefined) return;
    whole ??= { end: offset + answer.bytes, tag: answer.tag };
    const { body } = answer;
    try {
      const chunks = body[Symbol.asyncIterator]() as AsyncIterator<Buffer>;
      for (;;) {
        const chunk = await nextChunk(chunks, body, connection.patience.idle, signal);
        if (chunk === undefined) break;
        offset += chunk.length;
        garbage.passed(chunk.length);
        failures = 0;
        yield chunk;
      }
      if (offset >= whole.end) return;
      throw Object.assign(new Error("the body ended too early"), { code: "ERR_STREAM_PREMATURE_CLOSE" });
    } catch (error) {
      signal?.throwIfAborted();
      failures += 1;
      if (!connection.mayRetry(error, failures)) {
        throw storeError(error, connection.target, connection.location, name);
      }
      await connection.pause(failures, signal);
    } finally {
      body.destroy();
    }
  }
}

/** Undefined where the range begins behind the object's end. */
async function ask(
  connection: Connection,
  name: string,
  key: string,
  { start = 0, end, signal }: ReadOptions,
  tag: string | undefined,
): Promise<Answer | undefined> {
  const ranged = start > 0 || end !== undefined;
  return connection.request<Answer | undefined>(
    name,
    async (s3, options) => {
      const found = await s3.getObject(
        {
          Bucket: connection.target.bucket,
          Key: key,
          ...(ranged ? { Range: `bytes=${start}-${end === undefined ? "" : end - 1}` } : {}),
          ...(tag === undefined ? {} : { IfMatch: tag }),
        },
        options,
      );
      const body = found.Body as Readable | undefined;
      // Between two reads nobody listens, and an error of the stream must not end the process.
      body?.on("error", () => undefined);
      if (body === undefined || found.ContentLength === undefined) return undefined;
      return { body, bytes: found.ContentLength, tag: found.ETag };
    },
    {
      signal,
      answers: {
        InvalidRange: () => undefined,
        PreconditionFailed: () => {
          throw new OpsError(
            "E_OBJECT_CHANGED",
            `${connection.location}: "${name}" was replaced while it was read`,
            {
              hint: "run it again",
            },
          );
        },
      },
    },
  );
}

/** Undefined at the end. A body that gives nothing for so many milliseconds is as good as cut. */
async function nextChunk(
  chunks: AsyncIterator<Buffer>,
  body: Readable,
  idle: number,
  signal: AbortSignal | undefined,
): Promise<Buffer | undefined> {
  const silent = Object.assign(new Error(`no byte within ${idle} ms`), { code: "ETIMEDOUT" });
  const timer = setTimeout(() => body.destroy(silent), idle);
  const stop = () => body.destroy();
  signal?.addEventListener("abort", stop, { once: true });
  try {
    signal?.throwIfAborted();
    const { done, value } = await chunks.next();
    signal?.throwIfAborted();
    return done === true ? undefined : value;
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener("abort", stop);
  }
}
