import { availableParallelism } from "node:os";
import { constants, createZstdCompress, createZstdDecompress } from "node:zlib";
import { OpsError } from "../core/errors.ts";
import { splitFrames } from "./zstd-frames.ts";
import { ZstdLanes } from "./zstd-lanes.ts";

/**
 * zstd (RFC 8878) as a row of independent frames of 1 MiB each, on libuv's thread pool, several at a time and in
 * order. Frames one after another are a valid zstd stream: `zstd -d` reads them as one.
 *
 * Node's own `createZstdDecompress` gets one frame at a time: it silently stops after the first frame when a chunk
 * holds the end of one frame and the start of the next.
 */
const blockSize = 1024 * 1024;
const parallel = Math.min(4, Math.max(2, availableParallelism()));

/** By the level of compression. */
const compressors = new Map<number, ZstdLanes>();
const decompressors = new ZstdLanes(
  () => createZstdDecompress({ chunkSize: blockSize }),
  parallel,
  blockSize,
);

/** @param level 1 to 19 */
export async function* compress(source: AsyncIterable<Uint8Array>, level = 3): AsyncGenerator<Buffer> {
  const lanes = compressorsOf(level);
  const spare: Buffer[] = [];
  yield* inOrder(blocks(source, spare), async (block) => {
    const frame = await lanes.run(block, Number.POSITIVE_INFINITY);
    // All but the last are whole, and are filled again.
    if (block.length === blockSize) spare.push(block);
    return frame;
  });
}

/** As `compress`, of what is in memory already and does not change meanwhile: nothing of it is copied. */
export function compressWhole(content: Buffer, level = 3): AsyncGenerator<Buffer> {
  const lanes = compressorsOf(level);
  return inOrder(slices(content), (block) => lanes.run(block, Number.POSITIVE_INFINITY));
}

function compressorsOf(level: number): ZstdLanes {
  const lanes = compressors.get(level) ?? new ZstdLanes(() => compressor(level), parallel);
  compressors.set(level, lanes);
  return lanes;
}

function compressor(level: number) {
  return createZstdCompress({
    // Each piece of output costs a hop to the thread pool: room for several frames of ordinary data.
    chunkSize: blockSize,
    // Every block that is written becomes a frame of its own.
    flush: constants.ZSTD_e_end,
    params: { [constants.ZSTD_c_compressionLevel]: level, [constants.ZSTD_c_checksumFlag]: 1 },
  });
}

/** Reads what `compress` wrote. Throws `E_DECOMPRESS` where it is damaged or ends in the middle of a frame. */
export async function* decompress(source: AsyncIterable<Uint8Array>): AsyncGenerator<Buffer> {
  const spare: Buffer[] = [];
  yield* inOrder(splitFrames(source, spare), async (frame) => {
    try {
      const block = await decompressors.run(frame, blockSize);
      spare.push(Buffer.from(frame.buffer));
      return block;
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
  work: (item: T) => Promise<readonly Buffer[]>,
): AsyncGenerator<Buffer> {
  const running: Promise<readonly Buffer[]>[] = [];
  for await (const item of source) {
    const result = work(item);
    // It is awaited below; until then a rejection must not count as unhandled.
    result.catch(() => undefined);
    running.push(result);
    if (running.length > parallel) yield* await (running.shift() as Promise<readonly Buffer[]>);
  }
  for (const result of running) yield* await result;
}

async function* slices(content: Buffer): AsyncGenerator<Buffer> {
  for (let start = 0; start < content.length; start += blockSize)
    yield content.subarray(start, start + blockSize);
}

/** @param spare blocks that may be filled again */
async function* blocks(source: AsyncIterable<Uint8Array>, spare: Buffer[]): AsyncGenerator<Buffer> {
  const empty = () => spare.pop() ?? Buffer.allocUnsafeSlow(blockSize);
  let block = empty();
  let used = 0;
  for await (const data of source) {
    for (let offset = 0; offset < data.length; ) {
      const part = data.subarray(offset, offset + blockSize - used);
      block.set(part, used);
      used += part.length;
      offset += part.length;
      if (used < blockSize) continue;
      yield block;
      block = empty();
      used = 0;
    }
  }
  if (used > 0) yield block.subarray(0, used);
}
