import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { DifferentFile, extractTar } from "../../../src/pitr/untar.ts";

let folder: string;
let target: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "ops-extract-"));
  target = join(folder, "target");
  mkdirSync(target);
  mkdirSync(join(folder, "source/base/1"), { recursive: true, mode: 0o700 });
  writeFileSync(join(folder, "source/base/1/1259"), content, { mode: 0o600 });
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const content = Buffer.alloc(3 * 2 ** 20, "row ");
const sha256 = createHash("sha256").update(content).digest("hex");

async function* tar() {
  const all = execFileSync("tar", ["--format=ustar", "-C", join(folder, "source"), "-cf", "-", "base"], {
    maxBuffer: 2 ** 26,
  });
  for (let at = 0; at < all.length; at += 100_000) yield all.subarray(at, at + 100_000);
}

function extract(checksums: ReadonlyMap<string, string>, prefix = "") {
  const user = { owner: undefined, prefix: [] };
  return extractTar(tar(), {
    directory: target,
    prefix,
    user,
    checksums,
    signal: new AbortController().signal,
  });
}

it("files have their bytes and permissions, whatever the umask", async () => {
  writeFileSync(join(folder, "source/base/group"), "g");
  execFileSync("chmod", ["640", join(folder, "source/base/group")]);
  const before = process.umask(0o077);
  try {
    await extract(new Map([["base/1/1259", sha256]]));
  } finally {
    process.umask(before);
  }
  expect(readFileSync(join(target, "base/1/1259")).equals(content)).toBe(true);
  expect(statSync(join(target, "base/1")).mode & 0o777).toBe(0o700);
  expect(statSync(join(target, "base/group")).mode & 0o777).toBe(0o640);
});

it("a file that is not what the backup_manifest says is named", async () => {
  const extracting = extract(new Map([["pg_tblspc/16385/base/1/1259", "0".repeat(64)]]), "pg_tblspc/16385/");
  await expect(extracting).rejects.toThrow(DifferentFile);
  await expect(extracting).rejects.toThrow("pg_tblspc/16385/base/1/1259 has another checksum");
});

it("what a killed attempt has left is replaced; a link in its place is not followed", async () => {
  const elsewhere = join(folder, "elsewhere");
  writeFileSync(elsewhere, "stays");
  mkdirSync(join(target, "base/1"), { recursive: true });
  symlinkSync(elsewhere, join(target, "base/1/1259"));
  await extract(new Map([["base/1/1259", sha256]]));
  expect(readFileSync(elsewhere, "utf8")).toBe("stays");
  expect(readFileSync(join(target, "base/1/1259")).equals(content)).toBe(true);
});

it("links are left out", async () => {
  symlinkSync("/elsewhere", join(folder, "source/base/16385"));
  await extract(new Map());
  expect(existsSync(join(target, "base/1/1259"))).toBe(true);
  expect(existsSync(join(target, "base/16385"))).toBe(false);
});

it("a folder that cannot be written to says what to do", async () => {
  rmSync(target, { recursive: true });
  writeFileSync(target, "");
  await expect(extract(new Map())).rejects.toMatchObject({
    code: "E_RESTORE_FOLDER",
    hint: expect.stringContaining("ops runs resume"),
  });
});
