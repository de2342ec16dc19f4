import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import { FileStore } from "../../../src/storage/file-store.ts";
import { LimitedStore } from "../../../src/storage/limited-store.ts";
import { describeObjectStore } from "./object-store-contract.ts";

const folders: string[] = [];
afterEach(async () => {
  for (const folder of folders.splice(0)) await rm(folder, { recursive: true, force: true });
});

async function limited(bandwidth: number): Promise<LimitedStore> {
  const folder = await mkdtemp(join(tmpdir(), "ops-st-"));
  folders.push(folder);
  return new LimitedStore(new FileStore(folder), bandwidth);
}

async function* chunks(count: number, size: number): AsyncGenerator<Uint8Array> {
  for (let each = 0; each < count; each += 1) yield new Uint8Array(size);
}

describeObjectStore("limited file", () => limited(2 ** 30));

describe("a store with a bandwidth", () => {
  it("takes at least the time that the bytes need, for several streams together", async () => {
    const store = await limited(1_000_000);
    const begun = performance.now();

    await Promise.all([store.put("a", chunks(10, 20_000)), store.put("b", chunks(10, 20_000))]);

    expect(performance.now() - begun).toBeGreaterThanOrEqual(395);
  });

  it("reads at its own pace", async () => {
    const store = await limited(1_000_000);
    await store.replace("a", new Uint8Array(300_000));
    const begun = performance.now();

    for await (const _ of store.get("a"));

    expect(performance.now() - begun).toBeGreaterThanOrEqual(295);
  });

  it("stops waiting when told to", async () => {
    const store = await limited(1);
    const abort = new AbortController();
    const writing = store.put("a", chunks(5, 1_000), { signal: abort.signal });
    abort.abort(new Error("enough"));

    await expect(writing).rejects.toThrow("enough");
  });
});
