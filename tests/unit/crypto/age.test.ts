import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { generateX25519Identity, identityToRecipient } from "age-encryption";
import { afterAll, describe, expect, it } from "vitest";
import { AgeSealer, ageOpener } from "../../../src/crypto/age.ts";
import { ByteReader } from "../../../src/crypto/byte-reader.ts";
import { decrypterFor } from "../../../src/crypto/identity.ts";
import { collect, inPieces } from "../../support/streams.ts";

const folder = mkdtempSync(join(tmpdir(), "ops-age-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const identity = await generateX25519Identity();
const recipient = await identityToRecipient(identity);
const keyFile = join(folder, "key");
writeFileSync(keyFile, `# made for a test\n${identity}\n`);

function encrypt(source: AsyncIterable<Uint8Array>, publicKeys: readonly string[]): AsyncGenerator<Buffer> {
  return new AgeSealer({ publicKeys }).encrypt(source);
}

async function* decrypt(source: AsyncIterable<Uint8Array>, key: string): AsyncGenerator<Buffer> {
  const opener = ageOpener(decrypterFor({ identity: key }));
  const reader = new ByteReader(source);
  yield* opener.decrypt(await opener.unwrap(reader), reader);
}

const sizes = [0, 1, 65_535, 65_536, 65_537, 131_072, 1_000_003];

describe("the age format", () => {
  it.each(sizes)("%i bytes that we encrypt are opened by stock age", async (size) => {
    const plain = Buffer.alloc(size, "ops ");

    const sealed = await collect(encrypt(inPieces(plain, 50_000), [recipient]));

    const opened = execFileSync("age", ["-d", "-i", keyFile], { input: sealed, maxBuffer: 10_000_000 });
    expect(opened.equals(plain)).toBe(true);
  });

  it.each(sizes)("%i bytes that stock age encrypts are opened by us", async (size) => {
    const plain = Buffer.alloc(size, "ops ");
    const sealed = execFileSync("age", ["-r", recipient], { input: plain, maxBuffer: 10_000_000 });

    const opened = await collect(decrypt(inPieces(sealed, 7919), `# comment\n${identity}\n`));

    expect(opened.equals(plain)).toBe(true);
  });

  it("every recipient can open it", async () => {
    const second = await generateX25519Identity();

    const sealed = await collect(
      encrypt(inPieces(Buffer.from("both"), 4), [recipient, await identityToRecipient(second)]),
    );

    expect(`${await collect(decrypt(inPieces(sealed, 100), identity))}`).toBe("both");
    expect(`${await collect(decrypt(inPieces(sealed, 100), second))}`).toBe("both");
  });

  it("a file cut at any chunk border or inside one does not open", async () => {
    const sealed = await collect(encrypt(inPieces(Buffer.alloc(200_000, 1), 64_000), [recipient]));
    const payload = sealed.indexOf("\n", sealed.indexOf("\n---") + 1) + 1 + 16;

    for (const end of [10, payload - 1, payload, payload + 65_552, payload + 131_104, sealed.length - 1]) {
      await expect(collect(decrypt(inPieces(sealed.subarray(0, end), 9999), identity))).rejects.toMatchObject(
        { code: "E_DECRYPT" },
      );
    }
  });

  it("a byte that changed or was added at the end does not open", async () => {
    const sealed = await collect(encrypt(inPieces(Buffer.alloc(100_000, 1), 64_000), [recipient]));
    const altered = Buffer.from(sealed);
    altered.writeUInt8(altered.readUInt8(70_000) ^ 1, 70_000);

    await expect(collect(decrypt(inPieces(altered, 9999), identity))).rejects.toThrow("not authentic");
    await expect(
      collect(decrypt(inPieces(Buffer.concat([sealed, Buffer.from("x")]), 9999), identity)),
    ).rejects.toMatchObject({ code: "E_DECRYPT" });
  });

  it("another key is refused as a wrong key, not as damage", async () => {
    const sealed = await collect(encrypt(inPieces(Buffer.from("x"), 1), [recipient]));

    const opening = collect(decrypt(inPieces(sealed, 100), await generateX25519Identity()));

    await expect(opening).rejects.toMatchObject({ code: "E_IDENTITY", exitCode: 2 });
  });

  it("an identity that is no key is refused without repeating it", async () => {
    const opening = collect(decrypt(inPieces(Buffer.from("x"), 1), "AGE-SECRET-KEY-1NOTAKEY"));

    await expect(opening).rejects.toMatchObject({ code: "E_IDENTITY" });
    await expect(opening).rejects.not.toThrow("NOTAKEY");
  });

  it("nothing is encrypted to nobody", async () => {
    await expect(collect(encrypt(inPieces(Buffer.from("x"), 1), []))).rejects.toMatchObject({
      code: "E_RECIPIENT",
    });
  });
});
