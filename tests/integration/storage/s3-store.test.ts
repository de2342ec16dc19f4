import { randomBytes } from "node:crypto";
import { describe, expect, it } from "vitest";
import { S3Store } from "../../../src/storage/s3/s3-store.ts";
import { newBucket, s3Target } from "../../support/ceph.ts";
import { describeObjectStore } from "../../unit/storage/object-store-contract.ts";

describeObjectStore("S3", async () => new S3Store(await s3Target(await newBucket())));

describe("the S3 store", () => {
  it("lists more objects than a page has", async () => {
    const store = new S3Store(await s3Target(await newBucket()));
    const names = Array.from({ length: 1_203 }, (_, index) => `many/${String(index).padStart(5, "0")}`);
    for (let from = 0; from < names.length; from += 100) {
      await Promise.all(names.slice(from, from + 100).map((name) => store.replace(name, randomBytes(10))));
    }

    const found = await Array.fromAsync(store.list("many/"));

    expect(found.map((each) => each.name)).toEqual(names);
  });
});
