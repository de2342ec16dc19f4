import { execFileSync, spawnSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { sealerFor } from "../../src/crypto/encryption.ts";
import { startKms } from "../support/kms-server.ts";
import { projectRoot } from "../support/ops.ts";
import { collect, inPieces } from "../support/streams.ts";
import { storeWith } from "../unit/crypto/store-keys.ts";

const folder = mkdtempSync(join(tmpdir(), "ops-aes-script-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const script = join(projectRoot, "docs/open-aes-backup.mjs");
const encryptionKey = randomBytes(32).toString("base64");

function file(name: string, content: string | Uint8Array): string {
  const path = join(folder, name);
  writeFileSync(path, content);
  return path;
}

async function sealed(plain: Buffer): Promise<Buffer> {
  const sealer = await sealerFor(storeWith({ encryptionMethod: "aes-256-gcm", encryptionKey }));
  return collect(sealer.encrypt(inPieces(plain, 50_000)));
}

describe("docs/open-aes-backup.mjs", () => {
  it("has thirty lines", () => {
    expect(readFileSync(script, "utf8").trimEnd().split("\n").length).toBeLessThanOrEqual(30);
  });

  it.each([0, 1, 65_536, 65_537, 1_000_003])("opens %i bytes", async (size) => {
    const plain = randomBytes(size);
    const object = file("object.aes", await sealed(plain));
    const key = file("key", `# the present key\n${encryptionKey}\n`);

    const opened = execFileSync(process.execPath, [script, key, object], { maxBuffer: 10_000_000 });

    expect(opened.equals(plain)).toBe(true);
  });

  it("opens with the data key that AWS KMS gives", async () => {
    process.env.AWS_ACCESS_KEY_ID = "test-id";
    process.env.AWS_SECRET_ACCESS_KEY = "test-secret";
    const kms = await startKms();
    try {
      const store = storeWith({
        encryptionMethod: "aes-256-gcm",
        kms: { key: kms.newKey(), endpoint: kms.url },
      });
      const object = file(
        "kms.aes",
        await collect((await sealerFor(store)).encrypt(inPieces(Buffer.from("kms"), 1))),
      );
      const [, arn, blob] = /^aws-kms (\S+) (\S+)$/m.exec(readFileSync(object, "latin1")) ?? [];
      const answer = await fetch(kms.url, {
        method: "POST",
        headers: {
          "x-amz-target": "TrentService.Decrypt",
          authorization:
            "AWS4-HMAC-SHA256 Credential=test-id/20261121/eu-central-1/kms/aws4_request, by hand",
        },
        body: JSON.stringify({ KeyId: arn, CiphertextBlob: blob }),
      });
      const { Plaintext } = (await answer.json()) as { Plaintext: string };

      const opened = execFileSync(process.execPath, [
        script,
        file("data-key", Plaintext),
        object,
        "data-key",
      ]);

      expect(`${opened}`).toBe("kms");
    } finally {
      await kms.stop();
    }
  });

  it("fails for a wrong key, for an altered byte and for a missing end", async () => {
    const whole = await sealed(randomBytes(131_072));
    const altered = Buffer.from(whole);
    altered.writeUInt8(altered.readUInt8(whole.length - 100) ^ 1, whole.length - 100);
    const key = file("key", encryptionKey);
    const wrong = file("wrong", randomBytes(32).toString("hex"));
    const header = whole.indexOf("\n", whole.indexOf("\n---") + 1) + 1;
    const damaged = [
      altered,
      whole.subarray(0, whole.length - 65_552),
      whole.subarray(0, header + 32),
      whole.subarray(0, 40),
    ];

    const codes = [
      spawnSync(process.execPath, [script, wrong, file("whole", whole)]).status,
      ...damaged.map((each) => spawnSync(process.execPath, [script, key, file("damaged", each)]).status),
    ];

    expect(codes).toEqual([1, 1, 1, 1, 1]);
  });
});
