import { createHash } from "node:crypto";
import { inflateSync } from "node:zlib";
import { armor } from "age-encryption";
import * as vectorFiles from "cctv-age";
import { describe, expect, it } from "vitest";
import { ageOpener } from "../../../src/crypto/age.ts";
import { ByteReader } from "../../../src/crypto/byte-reader.ts";
import { decrypterFor } from "../../../src/crypto/identity.ts";
import { payloadNonceSize } from "../../../src/crypto/payload.ts";
import { inPieces } from "../../support/streams.ts";

/** https://github.com/C2SP/CCTV/tree/main/age: each file has one scenario and says what must come of it. */
interface Vector {
  readonly expect: string;
  /** SHA-256 of all that may be released, also before a failure. */
  readonly payload: string | undefined;
  readonly identities: readonly string[];
  readonly passphrases: readonly string[];
  readonly armored: boolean;
  readonly file: Buffer;
}

function parse(bytes: Uint8Array): Vector {
  const text = Buffer.from(bytes);
  const end = text.indexOf("\n\n");
  const header = text.toString("utf8", 0, end).split("\n").map(keyAndValue);
  const all = (key: string) => header.filter(([each]) => each === key).map(([, value]) => value);
  const known = [
    "expect",
    "payload",
    "identity",
    "passphrase",
    "armored",
    "file key",
    "comment",
    "compressed",
  ];
  expect(header.filter(([key]) => !known.includes(key))).toEqual([]);
  const body = text.subarray(end + 2);
  return {
    expect: all("expect")[0] ?? "",
    payload: all("payload")[0],
    identities: all("identity"),
    passphrases: all("passphrase"),
    armored: all("armored")[0] === "yes",
    file: all("compressed")[0] === "zlib" ? inflateSync(body) : body,
  };
}

function keyAndValue(line: string): [string, string] {
  const colon = line.indexOf(": ");
  return [line.slice(0, colon), line.slice(colon + 2)];
}

/** What came of the file, in the words of the vectors, and the hash of what was released. */
async function open(vector: Vector): Promise<{ result: string; payload: string | undefined }> {
  const hash = createHash("sha256");
  let released = false;
  try {
    const file = vector.armored ? armor.decode(vector.file.toString("latin1")) : vector.file;
    const identity = vector.identities.length > 0 ? vector.identities.join("\n") : undefined;
    const opener = ageOpener(decrypterFor({ identity, passphrase: vector.passphrases[0] }));
    const reader = new ByteReader(inPieces(file, 50_001));
    const key = await opener.unwrap(reader);
    released = (await reader.peek(payloadNonceSize)).length === payloadNonceSize;
    for await (const part of opener.decrypt(key, reader)) hash.update(part);
    return { result: "success", payload: hash.digest("hex") };
  } catch (error) {
    const code = error instanceof Error && "code" in error ? error.code : undefined;
    const payload = released ? hash.digest("hex") : undefined;
    if (code === "E_IDENTITY") return { result: "no match", payload };
    if (code === "E_DECRYPT") return { result: released ? "payload failure" : "header failure", payload };
    if (vector.armored && code === undefined) return { result: "armor failure", payload };
    throw error;
  }
}

const vectors: { readonly [name: string]: Uint8Array } = vectorFiles;

describe("the public test vectors of age", () => {
  const names = Object.keys(vectors);

  it("are all there", () => {
    expect(names.length).toBeGreaterThan(100);
  });

  it.each(names)("%s", async (name) => {
    const vector = parse(vectors[name] ?? new Uint8Array());

    const opened = await open(vector);

    // A header that is not authentic is damage too.
    const wanted = vector.expect === "HMAC failure" ? "header failure" : vector.expect;
    expect(opened.result).toBe(wanted);
    if (vector.payload !== undefined) expect(opened.payload).toBe(vector.payload);
  });
});
