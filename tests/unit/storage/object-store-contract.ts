import { createHash, randomBytes } from "node:crypto";
import { describe, expect, it } from "vitest";
import { type ObjectStore, readObject } from "../../../src/storage/object-store.ts";

/** What every driver of a store must do. `open` gives an empty store. */
export function describeObjectStore(driver: string, open: () => Promise<ObjectStore>): void {
  describe(`the ${driver} store`, () => {
    it("gives back what was put, with its size and checksum", async () => {
      const store = await open();
      const body = randomBytes(3_000_000);

      const written = await store.put("a/data", inPieces(body, 64_000));

      expect(written).toEqual({
        bytes: body.length,
        sha256: createHash("sha256").update(body).digest("hex"),
      });
      expect((await readObject(store, "a/data")).equals(body)).toBe(true);
    });

    it("lists what begins with a prefix, in the order of the names", async () => {
      const store = await open();
      for (const name of ["b/two", "a/one", "b/one"]) await store.put(name, inPieces(Buffer.from(name), 2));

      expect(await names(store, "")).toEqual(["a/one", "b/one", "b/two"]);
      expect(await names(store, "b/")).toEqual(["b/one", "b/two"]);
      expect(await names(store, "c")).toEqual([]);
    });

    it("keeps nothing of an object whose source fails", async () => {
      const store = await open();
      async function* failing(): AsyncGenerator<Uint8Array> {
        yield randomBytes(1_000_000);
        throw new Error("the source broke");
      }

      await expect(store.put("a/data", failing())).rejects.toThrow("the source broke");

      expect(await names(store, "")).toEqual([]);
      await expect(readObject(store, "a/data")).rejects.toMatchObject({ code: "E_OBJECT_MISSING" });
    });

    it("keeps nothing of an object whose writing was aborted", async () => {
      const store = await open();
      const abort = new AbortController();
      async function* endless(): AsyncGenerator<Uint8Array> {
        for (let count = 0; ; count += 1) {
          if (count === 20) abort.abort(new Error("enough"));
          yield randomBytes(10_000);
        }
      }

      await expect(store.put("a/data", endless(), { signal: abort.signal })).rejects.toThrow("enough");

      expect(await names(store, "")).toEqual([]);
    });

    it("lists an object only when it is whole", async () => {
      const store = await open();
      const seen: string[][] = [];
      async function* watched(): AsyncGenerator<Uint8Array> {
        yield randomBytes(200_000);
        seen.push(await names(store, ""));
        yield randomBytes(200_000);
      }

      await store.put("a/data", watched());

      expect(seen).toEqual([[]]);
      expect(await names(store, "")).toEqual(["a/data"]);
    });

    it("puts an object once where it must be absent", async () => {
      const store = await open();

      expect(await store.putIfAbsent("a/manifest", Buffer.from("first"))).toBe(true);
      expect(await store.putIfAbsent("a/manifest", Buffer.from("second"))).toBe(false);

      expect(`${await readObject(store, "a/manifest")}`).toBe("first");
    });

    it("replaces an object that is put again", async () => {
      const store = await open();
      await store.put("a/data", inPieces(Buffer.from("a long first one"), 3));

      await store.put("a/data", inPieces(Buffer.from("second"), 3));

      expect(`${await readObject(store, "a/data")}`).toBe("second");
    });

    it("gives a range of an object, and what there is of one beyond its end", async () => {
      const store = await open();
      const body = randomBytes(2_500_000);
      await store.put("a/data", inPieces(body, 100_000));
      const range = async (start?: number, end?: number) =>
        Buffer.concat(await Array.fromAsync(store.get("a/data", given({ start, end }))));

      expect((await range(0, 1)).equals(body.subarray(0, 1))).toBe(true);
      expect((await range(1_000_001, 2_200_000)).equals(body.subarray(1_000_001, 2_200_000))).toBe(true);
      expect((await range(2_499_999)).equals(body.subarray(2_499_999))).toBe(true);
      expect((await range(undefined, 10)).equals(body.subarray(0, 10))).toBe(true);
      expect((await range(2_499_990, 9_000_000)).equals(body.subarray(2_499_990))).toBe(true);
      expect(await range(9_000_000, 9_000_001)).toHaveLength(0);
      expect(await range(5, 5)).toHaveLength(0);
    });

    it("gives an empty object as what it is", async () => {
      const store = await open();

      expect(await store.put("a/empty", inPieces(Buffer.alloc(0), 1))).toMatchObject({ bytes: 0 });

      expect(await readObject(store, "a/empty")).toHaveLength(0);
    });

    it("stops reading when told to", async () => {
      const store = await open();
      await store.put("a/data", inPieces(randomBytes(6_000_000), 500_000));
      const abort = new AbortController();
      const read = async () => {
        for await (const _ of store.get("a/data", { signal: abort.signal })) abort.abort(new Error("enough"));
      };

      await expect(read()).rejects.toThrow("enough");
    });

    it("lets exactly one of many writers win where the object must be absent", async () => {
      const store = await open();
      const writers = Array.from({ length: 12 }, (_, index) => Buffer.from(`writer ${index}`.repeat(100)));

      const won = await Promise.all(writers.map((body) => store.putIfAbsent("a/manifest", body)));

      expect(won.filter(Boolean)).toHaveLength(1);
      expect(await readObject(store, "a/manifest")).toEqual(writers[won.indexOf(true)]);
      expect(await Array.fromAsync(store.unfinished(""))).toEqual([]);
    });

    it("replaces a small object as a whole", async () => {
      const store = await open();
      await store.replace("a/manifest", Buffer.from("first"));
      const writers = Array.from({ length: 8 }, (_, index) => Buffer.from(`${index}`.repeat(5_000)));

      await Promise.all(writers.map((body) => store.replace("a/manifest", body)));

      expect(writers).toContainEqual(await readObject(store, "a/manifest"));
      expect(await names(store, "")).toEqual(["a/manifest"]);
    });

    it("shows a write that is under way as unfinished, and ends it when told to", async () => {
      const store = await open();
      const begun = Date.now();
      const seen: string[] = [];
      async function* watched(): AsyncGenerator<Uint8Array> {
        for (let count = 0; count < 40; count += 1) yield randomBytes(500_000);
        for await (const write of store.unfinished("a/")) {
          seen.push(write.name);
          expect(Math.abs(write.startedAt.getTime() - begun)).toBeLessThan(120_000);
          await write.remove();
          await write.remove();
        }
        yield randomBytes(500_000);
      }

      await expect(store.put("a/data", watched())).rejects.toThrow();

      expect(seen).toEqual(["a/data"]);
      expect(await names(store, "")).toEqual([]);
      expect(await Array.fromAsync(store.unfinished(""))).toEqual([]);
    });

    it("has nothing unfinished after a write that ended, well or not", async () => {
      const store = await open();
      async function* failing(): AsyncGenerator<Uint8Array> {
        for (let count = 0; count < 40; count += 1) yield randomBytes(500_000);
        throw new Error("the source broke");
      }

      await store.put("a/whole", inPieces(randomBytes(12_000_000), 1_000_000));
      await expect(store.put("a/broken", failing())).rejects.toThrow("the source broke");

      expect(await Array.fromAsync(store.unfinished(""))).toEqual([]);
    });

    it("deletes, and does not mind what is not there", async () => {
      const store = await open();
      await store.put("a/data", inPieces(Buffer.from("x"), 1));

      await store.delete("a/data");
      await store.delete("a/data");

      expect(await names(store, "")).toEqual([]);
    });

    it.each(["../outside", "/absolute", "a//b", "a/../b", "a/.hidden", ""])(
      "refuses the name %j",
      async (name) => {
        const store = await open();

        await expect(store.put(name, inPieces(Buffer.from("x"), 1))).rejects.toMatchObject({
          code: "E_OBJECT_NAME",
        });
      },
    );
  });
}

/** Without the keys that are undefined. */
function given<T extends object>(options: T): T {
  return Object.fromEntries(Object.entries(options).filter(([, each]) => each !== undefined)) as T;
}

async function* inPieces(data: Uint8Array, size: number): AsyncGenerator<Uint8Array> {
  for (let offset = 0; offset < data.length; offset += size) yield data.subarray(offset, offset + size);
}

async function names(store: ObjectStore, prefix: string): Promise<string[]> {
  const found: string[] = [];
  for await (const object of store.list(prefix)) found.push(object.name);
  return found;
}
