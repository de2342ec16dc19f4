import { describe, expect, it } from "vitest";
import { databaseOfId, isBackupId, newBackupId } from "../../../src/archive/backup-id.ts";
import { decodeManifest, encodeManifest, type Manifest } from "../../../src/archive/manifest.ts";

const manifest: Manifest = {
  format: "ops-backup",
  version: 2,
  id: "20261121T094512Z-main-x7k2",
  kind: "logical",
  environment: "production",
  database: "main",
  source: {
    database: "shop",
    serverVersion: "15.18",
    encoding: "UTF8",
    localeProvider: "libc",
    collate: "C.UTF-8",
    ctype: "C.UTF-8",
    locale: null,
  },
  startedAt: "2026-11-21T09:45:12.000Z",
  finishedAt: "2026-11-21T09:46:00.000Z",
  run: null,
  actor: "ann@host",
  encryption: { method: "age", recipients: ["age1xyz"] },
  dumpProgram: "15.18",
  whole: true,
  dumpBytes: 1000,
  tables: 1,
  rows: 3,
  objects: [
    {
      name: "20261121T094512Z-main-x7k2/dump.zst.age",
      content: "main",
      bytes: 500,
      sha256: "0".repeat(64),
      plainBytes: 1000,
    },
  ],
};

describe("a manifest", () => {
  it("is read as it was written", () => {
    const signature = { key: "ed25519:abc", value: "c2lnbmVk" };

    expect(decodeManifest(encodeManifest(manifest))).toEqual({ manifest, signature: undefined });
    expect(decodeManifest(encodeManifest(manifest, signature))).toEqual({ manifest, signature });
    const ruled = { ...manifest, source: { ...manifest.source, icuRules: "&a < b" } };
    expect(decodeManifest(encodeManifest(ruled))).toEqual({ manifest: ruled, signature: undefined });
  });

  it("is refused when white space, the order of keys, a value or its digest changed", () => {
    const text = encodeManifest(manifest).toString();
    const altered = [
      text.trimEnd(),
      JSON.stringify(JSON.parse(text)),
      text.replace('"ann@host"', '"eve@host"'),
      text.replace("sha256:", "sha257:"),
      text.replace('"version": 2', '"version": 3'),
      text.replace('"version": 2,', '"version": 2,\n  "extra": 1,'),
      "null",
      "[]",
      "",
    ];

    for (const each of altered) expect(decodeManifest(Buffer.from(each)), each).toBeUndefined();
  });
});

describe("a backup's id", () => {
  it("sorts by time and names its database, whatever characters that has", () => {
    const early = newBackupId(new Date("2026-11-21T09:45:12.345Z"), "my-db.v2_x");
    const late = newBackupId(new Date("2026-11-21T10:00:00Z"), "a");

    expect(early).toMatch(/^20261121T094512Z-my-db\.v2_x-[a-z0-9]{4}$/);
    expect(databaseOfId(early)).toBe("my-db.v2_x");
    expect([late, early].sort()).toEqual([early, late]);
    expect(isBackupId("lost+found")).toBe(false);
  });
});
