import { execFile } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { inspect, promisify } from "node:util";
import { afterEach, describe, expect, it, vi } from "vitest";
import type { S3StoreTarget } from "../../../src/config/environment.ts";
import { Secret } from "../../../src/config/secret.ts";
import { milliseconds } from "../../../src/core/duration.ts";
import { causeText } from "../../../src/core/errors.ts";
import { readObject } from "../../../src/storage/object-store.ts";
import { S3Store } from "../../../src/storage/s3/s3-store.ts";
import { ceph, cephClient, kmsKey, newBucket, s3Target } from "../../support/ceph.ts";
import { requests, S3Proxy } from "../../support/s3-proxy.ts";

const run = promisify(execFile);
const mebibyte = 2 ** 20;
const impatient = { attempts: 2, firstAttempts: 2, pause: 10, connect: 1_000, idle: 2_000 };

const cleanUps: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  vi.useRealTimers();
  for (const each of cleanUps.splice(0).reverse()) await each();
});

async function proxied(tls?: { key: string; cert: string }): Promise<S3Proxy> {
  const proxy = await S3Proxy.start((await ceph()).endpoint, tls);
  cleanUps.push(() => proxy[Symbol.asyncDispose]());
  return proxy;
}

async function* pieces(body: Buffer): AsyncGenerator<Uint8Array> {
  for (let offset = 0; offset < body.length; offset += 700_000) yield body.subarray(offset, offset + 700_000);
}

describe("an upload with more parts than fit at the size of a buffer", () => {
  const plan = { partBytes: 5 * mebibyte, directParts: 2, segmentBytes: 10 * mebibyte, maximumParts: 4 };

  it.each([10, 11, 20, 29, 30])("puts %d MiB together on the server", async (size) => {
    const bucket = await newBucket();
    const store = new S3Store(await s3Target(bucket), { plan });
    const body = randomBytes(size * mebibyte);

    const written = await store.put("a/data", pieces(body));

    expect(written).toEqual({ bytes: body.length, sha256: createHash("sha256").update(body).digest("hex") });
    expect((await readObject(store, "a/data")).equals(body)).toBe(true);
    const { Contents = [] } = await (await cephClient()).listObjectsV2({ Bucket: bucket });
    expect(Contents.map((each) => each.Key)).toEqual(["shop/a/data"]);
    expect(await Array.fromAsync(store.unfinished(""))).toEqual([]);
  });

  it("refuses what is larger than the server takes, and leaves nothing of it", async () => {
    const bucket = await newBucket();
    const store = new S3Store(await s3Target(bucket), { plan });

    await expect(store.put("a/data", pieces(randomBytes(31 * mebibyte)))).rejects.toMatchObject({
      code: "E_STORE",
      message: expect.stringContaining("larger than S3 takes"),
    });

    expect((await (await cephClient()).listObjectsV2({ Bucket: bucket })).Contents).toBeUndefined();
    expect(await Array.fromAsync(store.unfinished(""))).toEqual([]);
  });

  it("shows the helper object of a writer that was killed as unfinished, and removes it", async () => {
    const bucket = await newBucket();
    const client = await cephClient();
    await client.putObject({ Bucket: bucket, Key: "shop/a/data~0123abcd.partial", Body: "half" });
    await client.createMultipartUpload({ Bucket: bucket, Key: "shop/a/data~0123abce.partial" });
    await client.createMultipartUpload({ Bucket: bucket, Key: "shop/a/data2" });
    const store = new S3Store(await s3Target(bucket));

    expect(await Array.fromAsync(store.list(""))).toEqual([]);
    const left = await Array.fromAsync(store.unfinished("a/"));
    expect(left.map((each) => each.name).sort()).toEqual(["a/data", "a/data", "a/data2"]);

    await store.delete("a/data");
    expect((await Array.fromAsync(store.unfinished(""))).map((each) => each.name)).toEqual(["a/data2"]);
    for await (const each of store.unfinished("")) await each.remove();
    expect(await Array.fromAsync(store.unfinished(""))).toEqual([]);
  });
});

describe("Object Lock", () => {
  const locked = { mode: "governance", for: milliseconds(86_400_000) } as const;

  it("retains what is put, small or large, for the configured time", async () => {
    const bucket = await newBucket({ objectLock: true });
    const store = new S3Store(await s3Target(bucket, { objectLock: locked }));

    await store.put("a/large", pieces(randomBytes(9 * mebibyte)));
    await store.putIfAbsent("a/small", Buffer.from("manifest"));

    for (const name of ["a/large", "a/small"]) {
      const head = await (await cephClient()).headObject({ Bucket: bucket, Key: `shop/${name}` });
      expect(head.ObjectLockMode).toBe("GOVERNANCE");
      const days = ((head.ObjectLockRetainUntilDate?.getTime() ?? 0) - Date.now()) / 86_400_000;
      expect(days).toBeGreaterThan(0.9);
      await expect(store.delete(name)).rejects.toMatchObject({
        code: "E_OBJECT_LOCKED",
        retryable: false,
        message: expect.stringContaining(name),
      });
      expect((await readObject(store, name)).length).toBeGreaterThan(0);
    }
  });

  it("deletes every version once the retention has ended", async () => {
    const bucket = await newBucket({ objectLock: true });
    const store = new S3Store(await s3Target(bucket, { objectLock: locked }));
    const retainUntil = new Date(Date.now() + 2_000);
    await store.replace("a/manifest", Buffer.from("first"), { retainUntil });
    await store.replace("a/manifest", Buffer.from("second"), { retainUntil });
    await expect(store.delete("a/manifest")).rejects.toMatchObject({ code: "E_OBJECT_LOCKED" });

    await expect
      .poll(() => store.delete("a/manifest").then(() => "deleted"), { timeout: 10_000 })
      .toBe("deleted");

    const left = await (await cephClient()).listObjectVersions({ Bucket: bucket });
    expect([...(left.Versions ?? []), ...(left.DeleteMarkers ?? [])]).toEqual([]);
  });

  it("says so where the bucket has none", async () => {
    const store = new S3Store(await s3Target(await newBucket(), { objectLock: locked }), {
      patience: impatient,
    });

    await expect(store.putIfAbsent("a/manifest", Buffer.from("x"))).rejects.toMatchObject({
      code: "E_OBJECT_LOCK",
    });
  });
});

describe("what the server does with objects", () => {
  it("encrypts them with its own key where sse is aws:kms", async () => {
    const bucket = await newBucket();
    const encryption = { algorithm: "aws:kms", kmsKey } as const;
    const store = new S3Store(await s3Target(bucket, { encryption }));
    const body = randomBytes(17 * mebibyte);

    await store.put("a/large", pieces(body));
    await store.replace("a/small", Buffer.from("manifest"));

    for (const name of ["a/large", "a/small"]) {
      const head = await (await cephClient()).headObject({ Bucket: bucket, Key: `shop/${name}` });
      expect(head).toMatchObject({ ServerSideEncryption: "aws:kms", SSEKMSKeyId: kmsKey });
    }
    expect((await readObject(store, "a/large")).equals(body)).toBe(true);
    const range = Buffer.concat(
      await Array.fromAsync(store.get("a/large", { start: 9_000_001, end: 16_000_000 })),
    );
    expect(range.equals(body.subarray(9_000_001, 16_000_000))).toBe(true);
  });

  it("is asked for SSE-S3 and a storage class with every object, whole or in parts", async () => {
    const proxy = await proxied();
    proxy.fault(() => true, { kind: "answer", status: 400, code: "InvalidStorageClass" }, 100);
    const target = await s3Target(await newBucket(), {
      endpoint: proxy.endpoint,
      encryption: { algorithm: "AES256", kmsKey: undefined },
      storageClass: "STANDARD_IA",
    });
    const store = new S3Store(target);

    for (const size of [10, 9 * mebibyte]) {
      await expect(store.put("a/data", pieces(randomBytes(size)))).rejects.toMatchObject({ code: "E_STORE" });
    }
    const asked = [proxy.seen.find(requests.whole), proxy.seen.find(requests.begin)];

    for (const each of asked) {
      expect(each?.headers).toMatchObject({
        "x-amz-server-side-encryption": "AES256",
        "x-amz-storage-class": "STANDARD_IA",
      });
    }
  });

  it("gets a checksum with every body", async () => {
    const proxy = await proxied();
    const store = new S3Store(await s3Target(await newBucket(), { endpoint: proxy.endpoint }));

    await store.put("a/large", pieces(randomBytes(9 * mebibyte)));
    await store.put("a/small", pieces(randomBytes(9)));

    for (const each of [proxy.seen.find(requests.part()), proxy.seen.find(requests.whole)]) {
      expect(each?.headers["x-amz-checksum-crc32"]).toMatch(/^[\w+/]{6}==$/);
      expect(each?.headers["x-amz-content-sha256"]).toMatch(/^[0-9a-f]{64}$/);
    }
  });
});

describe("a store that cannot be reached", () => {
  async function failure(changes: Partial<S3StoreTarget>): Promise<{ code: string; text: string }> {
    const store = new S3Store(await s3Target(await newBucket(), changes), { patience: impatient });
    const error = await store.putIfAbsent("a/manifest", Buffer.from("x")).then(
      () => undefined,
      (thrown: unknown) => thrown as Error & { code: string; hint?: string },
    );
    if (error === undefined) throw new Error("it was reached");
    const whole = inspect(error, { depth: 20, showHidden: true });
    expect(whole).not.toMatch(/ops-test-secret-key|wrong-secret|AWS4-HMAC|authorization:/i);
    return { code: error.code, text: `${error.message} (${causeText(error.cause)}) ${error.hint}` };
  }
  const keys = (access: string, secret: string) => ({
    credentials: {
      kind: "keys" as const,
      accessKey: new Secret(access, "."),
      secretKey: new Secret(secret, "."),
      sessionToken: undefined,
    },
  });

  it("says that the bucket is not there", async () => {
    expect(await failure({ bucket: "not-there-at-all" })).toMatchObject({
      code: "E_STORE_BUCKET",
      text: expect.stringMatching(/no bucket "not-there-at-all".*stores: offsite:/),
    });
  });

  it("says that the keys are wrong", async () => {
    const { accessKey } = await ceph();

    expect((await failure(keys(accessKey, "wrong-secret-0123456789"))).code).toBe("E_STORE_KEYS");
    expect((await failure(keys("NOSUCHACCESSKEY", "wrong-secret-0123456789"))).code).toBe("E_STORE_KEYS");
  });

  it("says that a profile is not there", async () => {
    const { code, text } = await failure({ credentials: { kind: "profile", profile: "no-such-profile" } });

    expect(code).toBe("E_STORE_KEYS");
    expect(text).toContain("profile no-such-profile");
  });

  it("says that nothing listens, or that the name cannot be resolved", async () => {
    expect((await failure({ endpoint: "http://127.0.0.1:9" })).code).toBe("E_STORE_UNREACHABLE");
    expect((await failure({ endpoint: "http://no-such-host.invalid" })).code).toBe("E_STORE_UNREACHABLE");
  });

  it("says that the clocks are too far apart", async () => {
    vi.useFakeTimers({ toFake: ["Date"], now: Date.now() - 3_600_000 });

    expect(await failure({})).toMatchObject({
      code: "E_STORE_CLOCK",
      text: expect.stringContaining("timedatectl"),
    });
  });

  it.each([
    [301, "PermanentRedirect", "E_STORE_REGION"],
    [400, "AuthorizationHeaderMalformed", "E_STORE_REGION"],
    [400, "ExpiredToken", "E_STORE_KEYS"],
    [403, "AccessDenied", "E_STORE_DENIED"],
    [403, "QuotaExceeded", "E_STORE_FULL"],
    [501, "NotImplemented", "E_STORE"],
  ])("says what a %d %s means", async (status, code, expected) => {
    const proxy = await proxied();
    proxy.fault((seen) => /manifest/.test(seen.url), { kind: "answer", status, code }, 100);

    expect((await failure({ endpoint: proxy.endpoint })).code).toBe(expected);
  });

  it("trusts a server by its own authority, and by no other", async () => {
    const folder = await mkdtemp(join(tmpdir(), "ops-tls-"));
    cleanUps.push(() => rm(folder, { recursive: true, force: true }));
    for (const each of ["server", "other"]) {
      const files = ["-keyout", join(folder, `${each}.key`), "-out", join(folder, `${each}.pem`)];
      const names = ["-subj", `/CN=${each}`, "-addext", "subjectAltName=IP:127.0.0.1"];
      await run("openssl", [
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-days",
        "2",
        ...files,
        ...names,
      ]);
    }
    const read = (name: string) => readFile(join(folder, name), "utf8");
    const { endpoint } = await proxied({ key: await read("server.key"), cert: await read("server.pem") });
    const body = randomBytes(12 * mebibyte);

    const target = await s3Target(await newBucket(), { endpoint, caFile: join(folder, "server.pem") });
    await new S3Store(target).put("a/data", pieces(body));
    expect((await readObject(new S3Store(target), "a/data")).equals(body)).toBe(true);

    expect((await failure({ endpoint })).code).toBe("E_STORE_TLS");
    expect((await failure({ endpoint, caFile: join(folder, "other.pem") })).code).toBe("E_STORE_TLS");
    expect((await failure({ endpoint, caFile: join(folder, "missing.pem") })).text).toContain("ca-file");
    const plain = (await ceph()).endpoint.replace("http:", "https:");
    expect((await failure({ endpoint: plain })).code).toBe("E_STORE_TLS");
  });
});
