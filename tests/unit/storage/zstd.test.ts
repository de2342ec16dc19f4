import { execFileSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { describe, expect, it } from "vitest";
import { released } from "../../../src/storage/released.ts";
import { compress, decompress } from "../../../src/storage/zstd.ts";

async function* inPieces(data: Uint8Array, size: number): AsyncGenerator<Uint8Array> {
  for (let offset = 0; offset < data.length; offset += size) yield data.subarray(offset, offset + size);
}

async function collect(source: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const parts: Uint8Array[] = [];
  for await (const part of source) parts.push(part);
  return Buffer.concat(parts);
}

const mebibyte = 1024 * 1024;
const samples = new Map([
  ["nothing", Buffer.alloc(0)],
  ["one byte", Buffer.from("x")],
  ["exactly one frame", Buffer.alloc(mebibyte, "row")],
  ["one byte more than a frame", Buffer.alloc(mebibyte + 1, "row")],
  ["several frames that compress", Buffer.alloc(5_000_000, "a row of a table\n")],
  ["several frames that do not compress", randomBytes(3_500_000)],
  ["both", Buffer.concat([randomBytes(1_500_000), Buffer.alloc(1_500_000), randomBytes(10)])],
]);

describe("zstd frames", () => {
  it.each([...samples])("%s comes back as it was, however it is cut", async (_name, plain) => {
    const compressed = await collect(compress(inPieces(plain, 77_777)));

    for (const size of [13_001, 1_000_000, 10_000_000]) {
      expect((await collect(decompress(inPieces(compressed, size)))).equals(plain)).toBe(true);
    }
  });

  it.each([...samples].slice(1))("%s is read by stock zstd", async (_name, plain) => {
    const compressed = await collect(compress(inPieces(plain, 77_777)));

    const read = execFileSync("zstd", ["-dc"], { input: compressed, maxBuffer: 20_000_000 });

    expect(read.equals(plain)).toBe(true);
  });

  it("an end in the middle of a frame, junk behind the last one and a changed byte are errors", async () => {
    const compressed = await collect(compress(inPieces(Buffer.alloc(3_000_000, "abcdefg"), 64_000)));
    const altered = Buffer.from(compressed);
    altered.writeUInt8(altered.readUInt8(40) ^ 4, 40);

    for (const broken of [
      compressed.subarray(0, compressed.length - 3),
      Buffer.concat([compressed, Buffer.from("junk behind")]),
      altered,
    ]) {
      await expect(collect(decompress(inPieces(broken, 64_000)))).rejects.toMatchObject({
        code: "E_DECOMPRESS",
      });
    }
  });

  it.each([10_007, 64_000, 10_000_000])(
    "nothing is held of pieces of %i bytes that are given back",
    async (size) => {
      const plain = Buffer.concat([randomBytes(2_500_000), Buffer.alloc(4_000_000, "a row of a table\n")]);
      const compressed = await collect(compress(inPieces(plain, 77_777)));
      async function* copies(): AsyncGenerator<Uint8Array> {
        for await (const piece of inPieces(compressed, size)) yield new Uint8Array(piece);
      }

      expect((await collect(decompress(released(copies())))).equals(plain)).toBe(true);
    },
  );

  it("a source that fails fails the whole", async () => {
    async function* failing(): AsyncGenerator<Uint8Array> {
      yield randomBytes(2_500_000);
      throw new Error("the dump broke");
    }

    await expect(collect(compress(failing()))).rejects.toThrow("the dump broke");
  });
});
