import { execFileSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { newSigningKey, signerOf, verifySignature } from "../../../src/crypto/signature.ts";

const folder = mkdtempSync(join(tmpdir(), "ops-signature-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe("a signature", () => {
  const { privateKey, publicKey } = newSigningKey();
  const signer = signerOf(privateKey);
  const message = Buffer.from('{"format":"ops-backup"}\n');

  it("is known by the public key of who signed, among others that are trusted", () => {
    const signature = signer.sign(message);

    expect(signer.publicKey).toBe(publicKey);
    expect(verifySignature(message, signature, [newSigningKey().publicKey, publicKey])).toBe(publicKey);
  });

  it("is nobody's for another message, another signer, or when a character of it changed", () => {
    const signature = signer.sign(message);

    expect(
      verifySignature(Buffer.concat([message, Buffer.from(" ")]), signature, [publicKey]),
    ).toBeUndefined();
    expect(verifySignature(message, signature, [newSigningKey().publicKey])).toBeUndefined();
    expect(verifySignature(message, signature, [])).toBeUndefined();
    for (let position = 0; position < signature.length; position += 1) {
      const other = signature[position] === "A" ? "B" : "A";
      const changed = `${signature.slice(0, position)}${other}${signature.slice(position + 1)}`;
      expect(verifySignature(message, changed, [publicKey])).toBeUndefined();
    }
    for (const text of ["", "x", `${signature}=`, ` ${signature}`]) {
      expect(verifySignature(message, text, [publicKey])).toBeUndefined();
    }
  });

  it("agrees with RFC 8032, test 2, whose seed is taken in hexadecimal and in base64", () => {
    const seed = "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb";
    const wanted =
      "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00";

    for (const text of [seed, Buffer.from(seed, "hex").toString("base64")]) {
      const known = signerOf(text);
      const signature = known.sign(Buffer.from("72", "hex"));
      expect(Buffer.from(signature, "base64").toString("hex")).toBe(wanted);
      expect(Buffer.from(known.publicKey.slice("ed25519:".length), "base64").toString("hex")).toBe(
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
      );
    }
  });

  it("is one that openssl checks", () => {
    const files = ["key", "message", "signature"].map((each) => join(folder, each));
    const [key = "", data = "", signature = ""] = files;
    writeFileSync(key, privateKey);
    writeFileSync(data, message);
    writeFileSync(signature, Buffer.from(signer.sign(message), "base64"));

    const args = ["pkeyutl", "-verify", "-rawin", "-inkey", key, "-in", data, "-sigfile", signature];

    expect(`${execFileSync("openssl", args)}`).toContain("Verified Successfully");
  });
});

describe("a signing key", () => {
  it.each([
    "",
    "secret text",
    randomBytes(31).toString("hex"),
    "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END",
  ])("%j is none, and is not repeated", (text) => {
    let message = "";
    try {
      signerOf(text);
    } catch (error) {
      expect(error).toMatchObject({ code: "E_SIGNING_KEY", exitCode: 2 });
      message = `${error}`;
    }
    expect(message).toContain("not an Ed25519 private key");
    if (text !== "") expect(message).not.toContain(text.slice(0, 20));
  });

  it("a public key that is none is refused", () => {
    expect(() =>
      verifySignature(Buffer.alloc(1), Buffer.alloc(64).toString("base64"), ["ed25519:x"]),
    ).toThrow("not the public key");
  });
});
