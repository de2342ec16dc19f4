import { execFileSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { newKeys } from "../../src/backup/keys-new.ts";
import { openerFor, sealerFor } from "../../src/crypto/encryption.ts";
import { signerOf } from "../../src/crypto/signature.ts";
import { perform, testContext } from "../support/context.ts";
import { collect, inPieces } from "../support/streams.ts";
import { storeWith } from "../unit/crypto/store-keys.ts";

const folder = mkdtempSync(join(tmpdir(), "ops-keys-new-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

interface Made {
  readonly file: string;
  readonly public: string;
}

async function make(name: string, type?: string): Promise<Made> {
  const input = { to: join(folder, name), ...(type === undefined ? {} : { type }) };
  return (await perform(newKeys, testContext({}), input)).output as Made;
}

async function openAndClose(store: ReturnType<typeof storeWith>): Promise<string> {
  const sealed = await collect((await sealerFor(store)).encrypt(inPieces(Buffer.from("text"), 1)));
  return `${await collect((await openerFor(store)).decrypt(inPieces(sealed, 9)))}`;
}

describe("backup keys new", () => {
  it("makes an age key that only its owner reads, whose public half stock age agrees with", async () => {
    const { file, public: publicKey } = await make("identity");

    expect(statSync(file).mode & 0o777).toBe(0o600);
    expect(execFileSync("age-keygen", ["-y", file], { encoding: "utf8" }).trim()).toBe(publicKey);
    expect(readdirSync(folder)).toEqual(["identity"]);
  });

  it("makes a post-quantum key pair that opens what is encrypted to it", async () => {
    const { file, public: publicKey } = await make("hybrid", "hybrid");

    expect(publicKey).toMatch(/^age1pq1/);
    expect(
      await openAndClose(storeWith({ recipients: [publicKey], identity: readFileSync(file, "utf8") })),
    ).toBe("text");
  });

  it("makes a key for AES-256-GCM, and says its id as the manifests do", async () => {
    const { file, public: id } = await make("aes", "aes");
    const store = storeWith({ encryptionMethod: "aes-256-gcm", encryptionKey: readFileSync(file, "utf8") });

    expect(await openAndClose(store)).toBe("text");
    expect((await sealerFor(store)).describe()).toEqual({ method: "aes-256-gcm", keys: [`key-file ${id}`] });
  });

  it("makes a signing key, which openssl reads too", async () => {
    const { file, public: publicKey } = await make("signing", "signing");

    expect(signerOf(readFileSync(file, "utf8")).publicKey).toBe(publicKey);
    expect(execFileSync("openssl", ["pkey", "-in", file, "-noout", "-text"], { encoding: "utf8" })).toContain(
      "ED25519",
    );
  });

  it("never touches a file that is there, also one that came after the look", async () => {
    const file = join(folder, "taken");
    writeFileSync(file, "mine");
    const input = newKeys.input.parse({ to: file });

    await expect(newKeys.observe(testContext({}), input)).rejects.toMatchObject({
      code: "E_KEY_FILE",
      exitCode: 2,
    });
    const applying = newKeys.apply(
      testContext({}),
      input,
      { file },
      {
        progress: () => undefined,
        log: () => undefined,
        checkpoint: async () => undefined,
        last: undefined,
      },
    );
    await expect(applying).rejects.toMatchObject({ code: "E_KEY_FILE" });

    expect(readFileSync(file, "utf8")).toBe("mine");
    expect(readdirSync(folder).filter((each) => each.endsWith(".partial"))).toEqual([]);
  });

  it("shows no private key in what it prints", async () => {
    const { output } = await perform(newKeys, testContext({}), { to: join(folder, "quiet") });

    expect(newKeys.render?.(output) ?? "").not.toContain("AGE-SECRET-KEY");
    expect(JSON.stringify(output)).not.toContain("AGE-SECRET-KEY");
  });
});
