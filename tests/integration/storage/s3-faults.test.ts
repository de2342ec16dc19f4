import { createHash, randomBytes } from "node:crypto";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { readObject } from "../../../src/storage/object-store.ts";
import type { Patience } from "../../../src/storage/s3/connection.ts";
import { S3Store } from "../../../src/storage/s3/s3-store.ts";
import { ceph, cephClient, newBucket, s3Target } from "../../support/ceph.ts";
import { type Fault, requests, S3Proxy } from "../../support/s3-proxy.ts";

const mebibyte = 2 ** 20;
const patience: Partial<Patience> = {
  idle: 1_000,
  slowIdle: 3_000,
  connect: 1_000,
  pause: 20,
  longestPause: 200,
};

describe("faults between the S3 store and the server", () => {
  let proxy: S3Proxy;
  let bucket: string;
  let store: S3Store;

  beforeEach(async () => {
    proxy = await S3Proxy.start((await ceph()).endpoint);
    bucket = await newBucket();
    store = await open();
  });
  afterEach(() => proxy[Symbol.asyncDispose]());

  async function open(changes: Partial<Patience> = {}): Promise<S3Store> {
    const target = await s3Target(bucket, { endpoint: proxy.endpoint });
    return new S3Store(target, { patience: { ...patience, ...changes }, plan: { partBytes: 5 * mebibyte } });
  }

  /** What the server has, asked without the proxy. */
  async function uploads(): Promise<number> {
    const { Uploads = [] } = await (await cephClient()).listMultipartUploads({ Bucket: bucket });
    return Uploads.length;
  }

  async function putsWhole(size = 23 * mebibyte): Promise<void> {
    const body = randomBytes(size);
    const written = await store.put("a/data", pieces(body));

    expect(written).toEqual({ bytes: size, sha256: createHash("sha256").update(body).digest("hex") });
    expect((await readObject(store, "a/data")).equals(body)).toBe(true);
    expect(proxy.pending).toBe(0);
    expect(await uploads()).toBe(0);
  }

  const slowDown: Fault = { kind: "answer", status: 503, code: "SlowDown" };
  const broken: Fault = { kind: "answer", status: 500, code: "InternalError" };
  const lost: Fault = { kind: "lose answer" };

  it.each<[string, (typeof requests)["any"] | ReturnType<typeof requests.part>, Fault, number]>([
    ["parts are told to slow down", requests.part(), slowDown, 4],
    ["parts meet internal errors", requests.part(), broken, 3],
    [
      "the connection of a part breaks in the middle",
      requests.part(2),
      { kind: "cut request", after: mebibyte },
      1,
    ],
    ["the answer to a part is lost", requests.part(3), lost, 2],
    ["a bit of a part flips on its way", requests.part(2), { kind: "flip", at: 3_000_000 }, 1],
    ["the answer to the begin is lost", requests.begin, lost, 2],
    ["the begin meets an internal error", requests.begin, broken, 1],
    ["the answer to the completion is lost", requests.complete, lost, 1],
    ["the completion is told to slow down", requests.complete, slowDown, 2],
    [
      "the server is silent about a part",
      requests.part(1),
      { kind: "hold", until: new Promise(() => undefined) },
      1,
    ],
  ])("an upload goes well when %s", async (_, matches, fault, times) => {
    proxy.fault(matches, fault, times);

    await putsWhole();
  });

  it("sends only the failed part again", async () => {
    proxy.fault(requests.part(2), { kind: "cut request", after: mebibyte });

    await putsWhole();

    const sent = proxy.seen.filter(requests.part()).map((each) => /partNumber=(\d+)/.exec(each.url)?.[1]);
    expect(sent.sort()).toEqual(["1", "2", "2", "3", "4", "5"]);
  });

  it("writes a small object in spite of a lost answer", async () => {
    proxy.fault(requests.whole, lost);

    await putsWhole(1_000);
  });

  it.each([
    ["internal errors", broken, "E_STORE_BUSY"],
    ["slow-downs", slowDown, "E_STORE_BUSY"],
    ["broken connections", lost, "E_STORE_UNREACHABLE"],
    ["a refusal", { kind: "answer", status: 403, code: "AccessDenied" } as Fault, "E_STORE_DENIED"],
  ])("leaves no part on the server when an upload ends with %s", async (_, fault, code) => {
    store = await open({ attempts: 3 });
    proxy.fault(requests.part(3), fault, 100);

    await expect(store.put("a/data", pieces(randomBytes(23 * mebibyte)))).rejects.toMatchObject({ code });

    expect(await uploads()).toBe(0);
    expect(await Array.fromAsync(store.list(""))).toEqual([]);
  });

  it("leaves no part on the server when the completion fails", async () => {
    store = await open({ attempts: 3 });
    proxy.fault(requests.complete, broken, 100);

    await expect(store.put("a/data", pieces(randomBytes(12 * mebibyte)))).rejects.toMatchObject({
      code: "E_STORE_BUSY",
    });

    expect(await uploads()).toBe(0);
    expect(await Array.fromAsync(store.list(""))).toEqual([]);
  });

  it("finds the object that a completion made whose answers were all lost", async () => {
    store = await open({ attempts: 2 });
    proxy.fault(requests.complete, lost, 2);

    await putsWhole(12 * mebibyte);
  });

  it("leaves no part on the server when it is told to stop in the middle", async () => {
    const abort = new AbortController();
    const held = Promise.withResolvers<void>();
    proxy.fault(requests.part(2), { kind: "hold", until: held.promise });
    async function* stopped(): AsyncGenerator<Uint8Array> {
      for (let count = 0; count < 11; count += 1) yield randomBytes(mebibyte);
      abort.abort(new Error("enough"));
      yield randomBytes(mebibyte);
    }

    await expect(store.put("a/data", stopped(), { signal: abort.signal })).rejects.toThrow("enough");
    held.resolve();

    await expect.poll(uploads).toBe(0);
  });

  it("says that parts are left where the server cannot be told, and lists them as unfinished", async () => {
    store = await open({ attempts: 2 });
    proxy.fault(requests.part(2), broken, 100);
    proxy.fault(requests.abort, broken, 100);

    await expect(store.put("a/data", pieces(randomBytes(12 * mebibyte)))).rejects.toMatchObject({
      code: "E_STORE_BUSY",
      hint: expect.stringContaining("ops backup prune"),
    });

    const direct = new S3Store(await s3Target(bucket));
    const left = await Array.fromAsync(direct.unfinished(""));
    expect(left.map((each) => each.name)).toEqual(["a/data"]);
    await direct.delete("a/data");
    expect(await uploads()).toBe(0);
  });

  it.each<[string, Fault]>([
    ["ends too early", { kind: "truncate", after: 1_500_000 }],
    ["stops in the middle", { kind: "stall", after: 700_000 }],
    ["does not begin", slowDown],
  ])("reads an object whole whose body %s, again and again", async (_, fault) => {
    const body = randomBytes(6 * mebibyte);
    await store.put("a/data", pieces(body));
    proxy.fault(requests.read, fault, 2);

    expect((await readObject(store, "a/data")).equals(body)).toBe(true);
    const range = Buffer.concat(await Array.fromAsync(store.get("a/data", { start: 5_000, end: 5_900_000 })));

    expect(range.equals(body.subarray(5_000, 5_900_000))).toBe(true);
    expect(proxy.pending).toBe(0);
  });

  it("never joins two different objects where one was replaced while it was read", async () => {
    await store.put("a/data", pieces(randomBytes(6 * mebibyte)));
    proxy.fault(requests.read, { kind: "truncate", after: mebibyte });
    const read = async () => {
      let first = true;
      for await (const _ of store.get("a/data")) {
        if (first) await new S3Store(await s3Target(bucket)).replace("a/data", randomBytes(6 * mebibyte));
        first = false;
      }
    };

    await expect(read()).rejects.toMatchObject({ code: "E_OBJECT_CHANGED" });
  });

  it("gives up on a body that ends too early every time, with an error", async () => {
    store = await open({ attempts: 3 });
    await store.put("a/data", pieces(randomBytes(mebibyte)));
    proxy.fault(requests.read, { kind: "truncate", after: 0 }, 100);

    await expect(readObject(store, "a/data")).rejects.toMatchObject({ code: "E_STORE_UNREACHABLE" });
  });

  it("is the one that put an absent object although its answer was lost", async () => {
    proxy.fault(requests.whole, lost);

    expect(await store.putIfAbsent("a/manifest", Buffer.from("first"))).toBe(true);
    expect(await store.putIfAbsent("a/manifest", Buffer.from("first"))).toBe(false);
  });

  it("ends with an error, not a hang, where the server never answers", async () => {
    store = await open({ attempts: 2, firstAttempts: 2, idle: 300 });
    proxy.fault(requests.any, { kind: "hold", until: new Promise(() => undefined) }, 100);

    await expect(Array.fromAsync(store.list(""))).rejects.toMatchObject({ code: "E_STORE_UNREACHABLE" });
  });

  it("goes on after the server was stopped and started again", async () => {
    const body = randomBytes(23 * mebibyte);
    const port = Number(new URL(proxy.endpoint).port);
    async function* interrupted(): AsyncGenerator<Uint8Array> {
      yield body.subarray(0, 12 * mebibyte);
      await proxy.stop();
      setTimeout(() => void proxy.restart(port), 300);
      yield body.subarray(12 * mebibyte);
    }

    await store.put("a/data", interrupted());

    expect((await readObject(store, "a/data")).equals(body)).toBe(true);
    expect(await uploads()).toBe(0);
  });
});

async function* pieces(body: Buffer): AsyncGenerator<Uint8Array> {
  for (let offset = 0; offset < body.length; offset += 1_000_000)
    yield body.subarray(offset, offset + 1_000_000);
}
