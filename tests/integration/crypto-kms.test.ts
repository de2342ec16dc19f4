import { randomBytes } from "node:crypto";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { openerFor, rewrap, sealerFor } from "../../src/crypto/encryption.ts";
import { startKms, type TestKms } from "../support/kms-server.ts";
import { collect, inPieces } from "../support/streams.ts";
import { storeWith } from "../unit/crypto/store-keys.ts";

/** The real AWS client with its signatures, against the wire protocol of KMS on loopback (tests/support/kms-server.ts). */
let kms: TestKms;
let key: string;
const variables = { AWS_ACCESS_KEY_ID: "test-id", AWS_SECRET_ACCESS_KEY: "test-secret" };
beforeAll(async () => {
  Object.assign(process.env, variables);
  kms = await startKms();
  key = kms.newKey();
});
afterAll(() => kms.stop());
beforeEach(() => {
  kms.requests.length = 0;
  kms.failure = undefined;
});

const store = (arn = key, encryptionKey?: string) =>
  storeWith({ encryptionMethod: "aes-256-gcm", encryptionKey, kms: { key: arn, endpoint: kms.url } });
const plain = randomBytes(100_000);

async function rejection(work: Promise<unknown>): Promise<{ code: string; message: string; hint: string }> {
  return work.then(
    () => {
      throw new Error("it was not refused");
    },
    (error) => error,
  );
}

describe("AES-256-GCM with a key of AWS KMS", () => {
  it("asks for one data key for all objects of a backup, and once to open them", async () => {
    const sealer = await sealerFor(store());
    const objects = [
      await collect(sealer.encrypt(inPieces(plain, 9999))),
      await collect(sealer.encrypt(inPieces(plain, 9999))),
    ];

    const opener = await openerFor(store());
    for (const object of objects) {
      expect((await collect(opener.decrypt(inPieces(object, 9999)))).equals(plain)).toBe(true);
    }

    expect(kms.asked()).toEqual(["GenerateDataKey", "Decrypt"]);
    expect(JSON.parse(kms.requests[0]?.body ?? "")).toEqual({ KeyId: key, NumberOfBytes: 32 });
    expect(sealer.describe()).toEqual({ method: "aes-256-gcm", keys: [`aws-kms ${key}`] });
  });

  it("beside a key file, either opens it alone, and the file is asked first", async () => {
    const encryptionKey = randomBytes(32).toString("hex");
    const sealer = await sealerFor(store(key, encryptionKey));
    const sealed = await collect(sealer.encrypt(inPieces(plain, 9999)));
    kms.requests.length = 0;

    const byFile = await openerFor(store(key, encryptionKey));
    expect((await collect(byFile.decrypt(inPieces(sealed, 9999)))).equals(plain)).toBe(true);
    expect(kms.asked()).toEqual([]);

    const byKms = await openerFor(store());
    expect((await collect(byKms.decrypt(inPieces(sealed, 9999)))).equals(plain)).toBe(true);
    expect(sealer.describe()).toMatchObject({
      keys: [/^key-file [0-9a-f]{16}$/, `aws-kms ${key}`].map(matching),
    });
  });

  it("wrapping again under another key asks KMS once for each backup, and opens with the new key alone", async () => {
    const sealer = await sealerFor(store());
    const objects = [
      await collect(sealer.encrypt(inPieces(plain, 9999))),
      await collect(sealer.encrypt(inPieces(plain, 9999))),
    ];
    const other = kms.newKey();
    const [opener, next] = [await openerFor(store(other)), await sealerFor(store(other))];
    kms.requests.length = 0;

    const again = await Promise.all(
      objects.map((each) => collect(rewrap(inPieces(each, 9999), opener, next))),
    );

    expect(kms.asked()).toEqual(["Decrypt", "Encrypt"]);
    for (const each of again) {
      expect(each.toString("latin1", 0, 200)).toContain(other);
      expect((await collect(opener.decrypt(inPieces(each, 9999)))).equals(plain)).toBe(true);
    }
  });

  it.each([
    ["AccessDeniedException", 400, "E_KMS"],
    ["DisabledException", 400, "E_KMS"],
    ["IncorrectKeyException", 400, "E_IDENTITY"],
  ])("%s of KMS is %i to us: %s", async (name, status, code) => {
    const sealed = await collect((await sealerFor(store())).encrypt(inPieces(plain, 9999)));
    kms.failure = { status, name };

    const opener = await openerFor(store());

    expect((await rejection(collect(opener.decrypt(inPieces(sealed, 9999))))).code).toBe(code);
  });

  it("a failure that passes is tried again by the client", async () => {
    kms.failure = { status: 500, name: "KMSInternalException", requests: 2 };

    await expect(sealerFor(store())).resolves.toMatchObject({ method: "aes-256-gcm" });
  });

  it("a failed opening is not remembered", async () => {
    const sealed = await collect((await sealerFor(store())).encrypt(inPieces(plain, 9999)));
    const opener = await openerFor(store());
    kms.failure = { status: 400, name: "AccessDeniedException" };
    await rejection(collect(opener.decrypt(inPieces(sealed, 9999))));
    kms.failure = undefined;

    expect((await collect(opener.decrypt(inPieces(sealed, 9999)))).equals(plain)).toBe(true);
  });

  it("a key that does not exist, and a server that is not there, are said before anything is dumped", async () => {
    const missing = await rejection(sealerFor(store("arn:aws:kms:eu-central-1:111122223333:key/none")));
    const gone = await rejection(
      sealerFor(storeWith({ encryptionMethod: "aes-256-gcm", kms: { key, endpoint: "http://127.0.0.1:9" } })),
    );

    expect(missing).toMatchObject({ code: "E_KMS" });
    expect(missing.message).toContain("key/none");
    expect(gone).toMatchObject({ code: "E_KMS" });
  });
});

function matching(value: RegExp | string): unknown {
  return typeof value === "string" ? value : expect.stringMatching(value);
}
