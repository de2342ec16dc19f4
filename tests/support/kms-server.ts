import { createCipheriv, createDecipheriv, randomBytes } from "node:crypto";
import { startHttpServer, type TestHttpServer } from "./http-server.ts";

export interface TestKms extends TestHttpServer {
  /** Makes a key and returns its ARN. */
  newKey(): string;
  /** Answers every request with this error of KMS, or only so many, until it is undefined again. */
  failure: { readonly status: number; readonly name: string; readonly requests?: number } | undefined;
  /** What was asked, in order: `GenerateDataKey`, `Decrypt`. */
  asked(): string[];
}

/**
 * The part of AWS KMS's wire protocol that is used here (AWS JSON 1.1: GenerateDataKey, Encrypt, Decrypt), on loopback,
 * with the real client and its signatures in front of it. The service itself cannot run outside AWS, so this shows the
 * protocol and what becomes of the answers, not that AWS gives them.
 */
export async function startKms(): Promise<TestKms> {
  const keys = new Map<string, Buffer>();
  const kms = { failure: undefined as TestKms["failure"] };
  const server = await startHttpServer((request, response, body) => {
    const answer = (status: number, value: object) => {
      response.writeHead(status, { "content-type": "application/x-amz-json-1.1" });
      response.end(JSON.stringify(value));
    };
    const refuse = (name: string) => answer(400, { __type: name, message: `${name} of the test` });
    const scope = /^AWS4-HMAC-SHA256 Credential=test-id\/\d{8}\/eu-central-1\/kms\/aws4_request, /;
    if (!scope.test(request.headers.authorization ?? "")) return refuse("MissingAuthenticationToken");
    if (kms.failure !== undefined) {
      const { status, name, requests = Number.POSITIVE_INFINITY } = kms.failure;
      kms.failure = requests > 1 ? { status, name, requests: requests - 1 } : undefined;
      return answer(status, { __type: name });
    }
    const action = `${request.headers["x-amz-target"]}`.replace("TrentService.", "");
    const { KeyId, Plaintext, CiphertextBlob, NumberOfBytes } = JSON.parse(body);
    const key = keys.get(KeyId);
    if (key === undefined) return refuse("NotFoundException");
    if (action === "Decrypt") {
      const plain = open(key, Buffer.from(CiphertextBlob, "base64"));
      if (plain === undefined) return refuse("InvalidCiphertextException");
      return answer(200, { KeyId, Plaintext: plain.toString("base64") });
    }
    const plain = action === "Encrypt" ? Buffer.from(Plaintext, "base64") : randomBytes(NumberOfBytes);
    const shown = action === "Encrypt" ? {} : { Plaintext: plain.toString("base64") };
    return answer(200, { KeyId, ...shown, CiphertextBlob: seal(key, plain).toString("base64") });
  });
  return Object.assign(kms, server, {
    newKey: () => {
      const arn = `arn:aws:kms:eu-central-1:111122223333:key/${randomBytes(8).toString("hex")}`;
      keys.set(arn, randomBytes(32));
      return arn;
    },
    asked: () =>
      server.requests.map((each) => `${each.headers["x-amz-target"]}`.replace("TrentService.", "")),
  });
}

function seal(key: Buffer, plain: Buffer): Buffer {
  const nonce = randomBytes(12);
  const cipher = createCipheriv("aes-256-gcm", key, nonce);
  return Buffer.concat([nonce, cipher.update(plain), cipher.final(), cipher.getAuthTag()]);
}

function open(key: Buffer, sealed: Buffer): Buffer | undefined {
  try {
    const opener = createDecipheriv("aes-256-gcm", key, sealed.subarray(0, 12));
    opener.setAuthTag(sealed.subarray(-16));
    return Buffer.concat([opener.update(sealed.subarray(12, -16)), opener.final()]);
  } catch {
    return undefined;
  }
}
