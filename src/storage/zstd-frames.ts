import { OpsError } from "../core/errors.ts";

/** No frame of ours is larger: 1 MiB that did not compress, and its header. Bounds the memory for a damaged one. */
const frameLimit = 1024 * 1024 + 64 * 1024;
const magic = 0xfd2fb528;

/**
 * Cuts a row of zstd frames (RFC 8878, section 3.1.1) into single frames, each in a buffer of its own. Holds on to no
 * piece of the source: its memory may be used again. Throws `E_DECOMPRESS`.
 *
 * @param spare buffers of frames that are needed no more, to be filled again
 */
export async function* splitFrames(
  source: AsyncIterable<Uint8Array>,
  spare: Buffer[],
): AsyncGenerator<Buffer> {
  const empty = () => spare.pop() ?? Buffer.allocUnsafeSlow(frameLimit);
  let frame = empty();
  let used = 0;
  for await (const data of source) {
    for (let offset = 0; offset < data.length; ) {
      const part = data.subarray(offset, offset + frame.length - used);
      frame.set(part, used);
      used += part.length;
      offset += part.length;
      for (;;) {
        const length = frameLength(frame.subarray(0, used));
        if (length === undefined) break;
        const next = empty();
        next.set(frame.subarray(length, used));
        yield frame.subarray(0, length);
        frame = next;
        used -= length;
      }
      if (used === frame.length) throw damaged("a frame is larger than any that was written");
    }
  }
  if (used > 0) throw damaged("it ends in the middle of a frame");
}

/** The length of the frame at the beginning, or undefined while its end is not there yet. */
function frameLength(data: Buffer): number | undefined {
  if (data.length < 5) return undefined;
  if (data.readUInt32LE(0) !== magic) throw damaged("a frame does not begin as one");
  const descriptor = data.readUInt8(4);
  const singleSegment = (descriptor & 0b0010_0000) !== 0;
  const hasChecksum = (descriptor & 0b0000_0100) !== 0;
  const contentSizeField = [singleSegment ? 1 : 0, 2, 4, 8][descriptor >> 6] ?? 0;
  const dictionaryField = [0, 1, 2, 4][descriptor & 0b11] ?? 0;
  let position = 5 + (singleSegment ? 0 : 1) + dictionaryField + contentSizeField;
  for (;;) {
    if (data.length < position + 3) return undefined;
    const header = data.readUIntLE(position, 3);
    const type = (header >> 1) & 0b11;
    if (type === 3) throw damaged("a block has no known type");
    // A block of type 1 is one byte, repeated.
    position += 3 + (type === 1 ? 1 : header >> 3);
    if ((header & 1) === 1) break;
  }
  const end = position + (hasChecksum ? 4 : 0);
  return data.length < end ? undefined : end;
}

function damaged(why: string): OpsError {
  return new OpsError("E_DECOMPRESS", `The compressed data is damaged: ${why}`, { retryable: false });
}
