import { randomBytes } from "node:crypto";
import { generateHybridIdentity, generateX25519Identity, identityToRecipient } from "age-encryption";
import { describe, expect, it } from "vitest";
import type { StoreKeys } from "../../../src/config/encryption-schema.ts";
import { openerFor, rewrap, sealerFor } from "../../../src/crypto/encryption.ts";
import { encryptionSchema } from "../../../src/crypto/sealer.ts";
import { released } from "../../../src/storage/released.ts";
import { collect, inPieces } from "../../support/streams.ts";
import { storeWith } from "./store-keys.ts";

const identity = await generateX25519Identity();
const recipient = await identityToRecipient(identity);
const hybrid = await generateHybridIdentity();
const newKey = () => randomBytes(32).toString("base64");
const key = newKey();
const ageStore = storeWith({ recipients: [recipient], identity });
const aesStore = storeWith({ encryptionMethod: "aes-256-gcm", encryptionKey: key });

const stores: Record<string, StoreKeys> = {
  "an age key": ageStore,
  "a post-quantum key": storeWith({ recipients: [await identityToRecipient(hybrid)], identity: hybrid }),
  "a passphrase": storeWith({ passphrase: "correct horse battery staple" }),
  "a key file": aesStore,
};

async function seal(store: StoreKeys, plain: Buffer): Promise<Buffer> {
  return collect((await sealerFor(store)).encrypt(inPieces(plain, 50_000)));
}

async function open(store: StoreKeys, sealed: Buffer): Promise<Buffer> {
  return collect((await openerFor(store)).decrypt(inPieces(sealed, 7919)));
}

/** With another last character, of the alphabet of bech32. */
function mistyped(text: string): string {
  return text.slice(0, -1) + (text.endsWith("x") ? "q" : "x");
}

function rejection(work: Promise<unknown>): Promise<{ code: string; message: string; hint: string }> {
  return work.then(
    () => {
      throw new Error("it was not refused");
    },
    (error) => error,
  );
}

describe.each(Object.keys(stores))("with %s", (name) => {
  const store = stores[name] as StoreKeys;

  it.each(name === "a passphrase" ? [65_536] : [0, 1, 65_535, 65_536, 65_537, 131_072, 1_000_003])(
    "%i bytes come back as they were",
    async (size) => {
      const plain = randomBytes(size);

      const opened = await open(store, await seal(store, plain));

      expect(opened.equals(plain)).toBe(true);
    },
  );

  it("the manifest's record has the form that is promised, and no secret", async () => {
    const record = (await sealerFor(store)).describe();

    expect(encryptionSchema.parse(record)).toEqual(record);
    expect(JSON.stringify(record)).not.toContain("horse");
    expect(JSON.stringify(record)).not.toContain(key);
  });

  it("no bit of a header or of the border of a chunk can be changed unseen", async () => {
    const plain = randomBytes(70_000);
    const sealed = await seal(store, plain);
    const header = sealed.indexOf("\n", sealed.indexOf("\n---") + 1) + 1;
    // Each try of a passphrase takes a second.
    const inHeader = Array.from({ length: name === "a passphrase" ? 3 : 100 }, (_, index) => index);
    const positions = new Set([
      ...inHeader.map((each) => Math.floor((each * header) / inHeader.length)),
      header - 2,
      header,
      header + 20,
      header + 65_560,
      sealed.length - 1,
    ]);

    for (const position of positions) {
      const altered = Buffer.from(sealed);
      altered.writeUInt8(altered.readUInt8(position) ^ 0x01, position);

      const error = await rejection(open(store, altered));

      // A damaged header may look like a wrong key: the stored checksum tells.
      expect(["E_DECRYPT", "E_IDENTITY"]).toContain(error.code);
      if (position >= header) expect(error.code).toBe("E_DECRYPT");
    }
  });

  it("an object that is cut anywhere is damaged", async () => {
    const sealed = await seal(store, randomBytes(140_000));
    const header = sealed.indexOf("\n", sealed.indexOf("\n---") + 1) + 1;
    const inPayload = [header + 10, header + 16, header + 32, header + 65_568, sealed.length - 1];
    const cuts = name === "a passphrase" ? [header - 1, header] : [0, 5, header - 1, header, ...inPayload];

    for (const end of cuts) {
      expect((await rejection(open(store, sealed.subarray(0, end)))).code).toBe("E_DECRYPT");
    }
  });
});

it("nothing is held of pieces that are given back", async () => {
  const plain = randomBytes(400_000);
  async function* copies(source: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    for await (const piece of source) yield new Uint8Array(piece);
  }
  const sealer = await sealerFor(ageStore);
  const opener = await openerFor(ageStore);
  const sealed = await collect(sealer.encrypt(released(copies(inPieces(plain, 77_777)))));

  const opened = await collect(opener.decrypt(released(copies(inPieces(sealed, 90_001)))));

  expect(opened.equals(plain)).toBe(true);
});

describe("AES-256-GCM", () => {
  const chunk = 65_536 + 16;

  it("a chunk that was moved, repeated or dropped is damage", async () => {
    const sealed = await seal(aesStore, randomBytes(65_536 * 3));
    const first = sealed.length - 3 * chunk;
    const chunks = [0, 1, 2].map((each) => sealed.subarray(first + each * chunk, first + (each + 1) * chunk));
    const arranged = (order: readonly number[]) =>
      Buffer.concat([sealed.subarray(0, first), ...order.map((each) => chunks[each] ?? Buffer.alloc(0))]);

    await expect(open(aesStore, arranged([0, 1, 2]))).resolves.toHaveLength(65_536 * 3);
    for (const order of [[1, 0, 2], [0, 2], [0, 1], [0, 0, 1, 2], [0, 1, 2, 2], [2]]) {
      expect((await rejection(open(aesStore, arranged(order)))).code).toBe("E_DECRYPT");
    }
  });

  it("objects of one backup have one data key, and a chunk of one does not fit into another", async () => {
    const sealer = await sealerFor(aesStore);
    const [one, other] = await Promise.all(
      ["a", "b"].map((text) => collect(sealer.encrypt(inPieces(Buffer.alloc(1000, text), 100)))),
    );
    if (one === undefined || other === undefined) throw new Error("two objects were made");
    const header = one.indexOf("\n", one.indexOf("\n---") + 1) + 1;

    expect(one.subarray(0, header).equals(other.subarray(0, header))).toBe(true);
    const mixed = Buffer.concat([one.subarray(0, header + 32), other.subarray(header + 32)]);
    expect((await rejection(open(aesStore, mixed))).code).toBe("E_DECRYPT");
  });

  it("another key is refused as a wrong key that names the one that is needed", async () => {
    const sealed = await seal(aesStore, Buffer.from("x"));
    const record = (await sealerFor(aesStore)).describe();

    const error = await rejection(open(storeWith({ encryptionKey: newKey() }), sealed));

    expect(error.code).toBe("E_IDENTITY");
    expect(error.message).toContain("keys" in record ? record.keys[0] : "");
  });

  it("a key file opens with its former keys too", async () => {
    const sealed = await seal(aesStore, Buffer.from("old"));

    const opened = await open(storeWith({ encryptionKey: `# new\n${newKey()}\n# old\n${key}\n` }), sealed);

    expect(`${opened}`).toBe("old");
  });

  it.each(["short", "", "=".repeat(44), newKey().slice(4), `${newKey()}\nrest`])(
    "%j is no key, and is not repeated",
    async (text) => {
      const error = await rejection(
        sealerFor(storeWith({ encryptionMethod: "aes-256-gcm", encryptionKey: text })),
      );

      expect(error.code).toBe(text === "" ? "E_SECRET" : "E_ENCRYPTION_KEY");
      if (text !== "") expect(error.message).not.toContain(text);
    },
  );

  it("without any key nothing is encrypted", async () => {
    const error = await rejection(sealerFor(storeWith({ encryptionMethod: "aes-256-gcm" })));

    expect(error).toMatchObject({ code: "E_ENCRYPTION_KEY", exitCode: 2 });
  });
});

describe("a store's keys", () => {
  it("a passphrase beside recipients is refused, since the format allows it only alone", async () => {
    const error = await rejection(
      sealerFor(storeWith({ recipients: [recipient], passphrase: "secret words" })),
    );

    expect(error).toMatchObject({ code: "E_RECIPIENT", exitCode: 2 });
  });

  it("one wrong recipient is found before anything is encrypted", async () => {
    const error = await rejection(sealerFor(storeWith({ recipients: [recipient, mistyped(recipient)] })));

    expect(error.code).toBe("E_RECIPIENT");
  });

  it("without an identity nothing is opened, and the error says what to add", async () => {
    const error = await rejection(openerFor(storeWith({ recipients: [recipient] })));

    expect(error.code).toBe("E_IDENTITY");
    expect(error.hint).toContain("identity: file:PATH");
  });

  it("an object of the other method asks for the key of that method", async () => {
    const error = await rejection(open(ageStore, await seal(aesStore, Buffer.from("x"))));

    expect(error.code).toBe("E_IDENTITY");
    expect(error.hint).toContain("encryption-key");
  });

  it("a wrong passphrase is a wrong key", async () => {
    const sealed = await seal(storeWith({ passphrase: "the right one" }), Buffer.from("x"));

    expect((await rejection(open(storeWith({ passphrase: "the wrong one" }), sealed))).code).toBe(
      "E_IDENTITY",
    );
  });

  it("what is no encrypted object at all is damage", async () => {
    expect((await rejection(open(ageStore, Buffer.from("PGDMP in the clear")))).code).toBe("E_DECRYPT");
  });
});

describe("wrapping again", () => {
  const newIdentity = generateX25519Identity();
  const plain = randomBytes(200_000);
  const pairs: readonly [string, StoreKeys, () => Promise<StoreKeys>][] = [
    [
      "age keys",
      ageStore,
      async () =>
        storeWith({
          recipients: [await identityToRecipient(await newIdentity)],
          identity: await newIdentity,
        }),
    ],
    [
      "key files",
      aesStore,
      async () => storeWith({ encryptionMethod: "aes-256-gcm", encryptionKey: newKey() }),
    ],
  ];

  it.each(pairs)("between %s changes the header and no byte of the payload", async (_, from, makeTo) => {
    const to = await makeTo();
    const sealed = await seal(from, plain);
    const [opener, sealer] = [await openerFor(from), await sealerFor(to)];

    const again = await collect(rewrap(inPieces(sealed, 9999), opener, sealer));

    const payload = (bytes: Buffer) => bytes.subarray(bytes.indexOf("\n", bytes.indexOf("\n---") + 1) + 1);
    expect(payload(again).equals(payload(sealed))).toBe(true);
    expect((await open(to, again)).equals(plain)).toBe(true);
    expect((await rejection(open(from, again))).code).toBe("E_IDENTITY");
  });

  it("from one method to the other encrypts anew", async () => {
    const sealed = await seal(ageStore, plain);

    const again = await collect(
      rewrap(inPieces(sealed, 9999), await openerFor(ageStore), await sealerFor(aesStore)),
    );

    expect((await open(aesStore, again)).equals(plain)).toBe(true);
  });

  it("without the key that opens it changes nothing", async () => {
    const stranger = storeWith({ identity: await generateX25519Identity() });
    const again = rewrap(
      inPieces(await seal(ageStore, plain), 9999),
      await openerFor(stranger),
      await sealerFor(aesStore),
    );

    expect((await rejection(collect(again))).code).toBe("E_IDENTITY");
  });
});
