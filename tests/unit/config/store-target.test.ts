import { describe, expect, it } from "vitest";
import { storeSchema } from "../../../src/config/store-schema.ts";
import { placeOfStore, type StoreTarget, storeTarget } from "../../../src/config/store-target.ts";

const target = (settings: object): StoreTarget =>
  storeTarget("main", storeSchema.parse(settings), "/etc/ops");

describe("a store's settings", () => {
  it.each([
    ["file:backups", "/etc/ops/backups"],
    ["file:/var/backups", "/var/backups"],
    ["file:///var/backups", "/var/backups"],
    ["s3://backups", "s3://backups at AWS"],
    ["s3://backups/shop/nightly/", "s3://backups/shop/nightly at AWS"],
  ])("%s is %s", (url, place) => {
    expect(placeOfStore(target({ url }))).toBe(place);
  });

  it("addresses a server of one's own by path, and AWS by host name, where nothing else is said", () => {
    const endpoint = "https://s3.example.com";

    expect(target({ url: "s3://backups", s3: {} })).toMatchObject({ pathStyle: false });
    expect(target({ url: "s3://backups", s3: { endpoint } })).toMatchObject({ pathStyle: true });
    expect(target({ url: "s3://backups", s3: { endpoint, "path-style": false } })).toMatchObject({
      pathStyle: false,
    });
  });

  it("hands sizes, times and keys on as their own types", () => {
    const keys = { "access-key": "AKIA1", "secret-key": "env:S3_SECRET", "session-token": "env:S3_TOKEN" };
    const s3 = {
      ...keys,
      "part-size": "16MiB",
      "object-lock": { mode: "compliance", for: "30d" },
      "ca-file": "ca.pem",
    };
    const found = target({ url: "s3://backups/shop", bandwidth: "1.5MiB/s", s3 });

    expect(found).toMatchObject({
      bucket: "backups",
      prefix: "shop",
      bandwidth: 1_572_864,
      partSize: 16 * 2 ** 20,
      caFile: "/etc/ops/ca.pem",
      objectLock: { mode: "compliance", for: 2_592_000_000 },
      credentials: { kind: "keys" },
    });
    expect(JSON.stringify(found)).not.toContain("S3_SECRET");
  });

  it.each([
    "s3://Backups",
    "s3://b",
    "s3://under_score",
    "s3:backups",
    "s3://backups/../etc",
    "s3://backups/a b",
    "https://backups",
  ])("refuses the url %s", (url) => {
    expect(storeSchema.safeParse({ url }).success).toBe(false);
  });
});
