import { availableParallelism } from "node:os";
import { promisify } from "node:util";
import { constants, zstdCompress, zstdDecompress } from "node:zlib";
import { OpsError } from "../core/errors.ts";
import { splitFrames } from "./zstd-frames.ts";

/**
 * zstd (RFC 8878) as a row of independent frames of 1 MiB each, on libuv's thread pool, several at a time and in
 * order. Frames one after another are a valid zstd stream: `zstd -d` reads them as one.
 *
 * Node's own `createZstdDecompress` is not used for reading: it silently stops after the first frame when a chunk
 * holds the end of one frame and the start of the next.
 */
const blockSize = 1024 * 1024;
const parallel = Math.min(4, Math.max(2, availableParallelism()));
const compressBlock = promisify(zstdCompress);
const decompressFrame = promisify(zstdDecompress);

/** @param level 1 to 19 */
export async function* compress(source: AsyncIterable<Uint8Array>, level = 3): AsyncGenerator<Buffer> {
  const options = {
    // Room for a whole frame of ordinary data: each chunk costs a hop to the thread pool.
    chunkSize: blockSize / 2,
    params: { [constants.ZSTD_c_compressionLevel]: level, [constants.ZSTD_c_checksumFlag]: 1 },
  };
  yield* inOrder(blocks(source), (block) => compressBlock(block, options));
}

/** Reads what `compress` wrote. Throws `E_DECOMPRESS` where it is damaged or ends in the middle of a frame. */
export async function* decompress(source: AsyncIterable<Uint8Array>): AsyncGenerator<Buffer> {
  yield* inOrder(splitFrames(source), async (frame) => {
    try {
      return await decompressFrame(frame, { maxOutputLength: blockSize, chunkSize: blockSize });
    } catch (error) {
      throw new OpsError("E_DECOMPRESS", "The compressed data is damaged", {
        cause: error,
        retryable: false,
      });
    }
  });
}

/** Works on several items at a time and yields the results in the order of the items. Holds no more than that. */
async function* inOrder<T>(
  source: AsyncIterable<T>,
  work: (item: T) => Promise<Buffer>,
): AsyncGenerator<Buffer> {
  const running: Promise<Buffer>[] = [];
  for await (const item of source) {
    const result = work(item);
    // It is awaited below; until then a rejection must not count as unhandled.
    result.catch(() => undefined);
    running.push(result);
    if (running.length > parallel) yield await (running.shift() as Promise<Buffer>);
  }
  for (const result of running) yield await result;
}

async function* blocks(source: AsyncIterable<Uint8Array>): AsyncGenerator<Buffer> {
  let block = Buffer.allocUnsafe(blockSize);
  let used = 0;
  for await (const data of source) {
    for (let offset = 0; offset < data.length; ) {
      const part = data.subarray(offset, offset + blockSize - used);
      block.set(part, used);
      used += part.length;
      offset += part.length;
      if (used < blockSize) continue;
      yield block;
      block = Buffer.allocUnsafe(blockSize);
      used = 0;
    }
  }
  if (used > 0) yield block.subarray(0, used);
}
