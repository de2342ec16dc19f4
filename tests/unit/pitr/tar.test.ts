import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { readTar, TarError } from "../../../src/pitr/tar.ts";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "ops-tar-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

/** As the stock tar writes it, of everything in the folder. */
function tarOf(...names: string[]): Buffer {
  return execFileSync("tar", ["--format=gnu", "-C", folder, "-cf", "-", ...names], { maxBuffer: 2 ** 26 });
}

async function* inPieces(data: Buffer, size: number): AsyncGenerator<Buffer> {
  for (let at = 0; at < data.length; at += size) yield data.subarray(at, at + size);
}

async function membersOf(source: AsyncIterable<Uint8Array>) {
  const members: { kind: string; path: string; mode: number; text: string }[] = [];
  for await (const { kind, path, mode, content } of readTar(source)) {
    const parts: Buffer[] = [];
    for await (const piece of content) parts.push(Buffer.from(piece));
    members.push({ kind, path: path.toString(), mode, text: Buffer.concat(parts).toString("latin1") });
  }
  return members;
}

it.each([1, 511, 512, 513, 10_240, 1_000_000])(
  "reads what the stock tar writes, in pieces of %i",
  async (size) => {
    mkdirSync(join(folder, "base/1"), { recursive: true, mode: 0o700 });
    writeFileSync(join(folder, "base/1/empty"), "", { mode: 0o600 });
    writeFileSync(join(folder, "base/1/block"), "b".repeat(512), { mode: 0o640 });
    writeFileSync(join(folder, "base/1/1259"), "x".repeat(8192 + 1), { mode: 0o600 });
    symlinkSync("/elsewhere", join(folder, "base/link"));

    const members = await membersOf(inPieces(tarOf("base"), size));

    expect(members).toContainEqual({ kind: "folder", path: "base/1", mode: 0o700, text: "" });
    expect(members).toContainEqual({ kind: "file", path: "base/1/empty", mode: 0o600, text: "" });
    expect(members).toContainEqual({
      kind: "file",
      path: "base/1/block",
      mode: 0o640,
      text: "b".repeat(512),
    });
    expect(members).toContainEqual({
      kind: "file",
      path: "base/1/1259",
      mode: 0o600,
      text: "x".repeat(8193),
    });
    expect(members).toContainEqual(expect.objectContaining({ kind: "link", path: "base/link" }));
  },
);

it("passes over what nobody reads of a file, and reads the source to its end", async () => {
  writeFileSync(join(folder, "one"), "1".repeat(5000));
  writeFileSync(join(folder, "two"), "2");
  const paths: string[] = [];
  let ended = false;
  async function* source() {
    yield* inPieces(tarOf("one", "two"), 700);
    ended = true;
  }
  for await (const { path } of readTar(source())) paths.push(path.toString());
  expect(paths).toEqual(["one", "two"]);
  expect(ended).toBe(true);
});

it("knows the size of a file of more than 8 GiB", async () => {
  writeFileSync(join(folder, "large"), "");
  truncateSync(join(folder, "large"), 9 * 2 ** 30);
  const header = execFileSync("sh", ["-c", `tar --format=gnu -C ${folder} -cf - large | head -c 1024`]);
  let seen = 0;
  const reading = (async () => {
    for await (const { content } of readTar(inPieces(header, 1024))) {
      for await (const piece of content) seen += piece.length;
    }
  })();
  await expect(reading).rejects.toThrow("it ends too early");
  expect(seen).toBe(512);
});

it.each([
  ["a changed byte", (tar: Buffer) => tar.fill("z", 0, 1), "a header is damaged"],
  ["an end in the middle of a file", (tar: Buffer) => tar.subarray(0, 900), "it ends too early"],
  ["an end in the middle of a header", (tar: Buffer) => tar.subarray(0, 300), "it ends too early"],
  ["a way out", (tar: Buffer) => renamed(tar, "../member"), "it has a member ../member"],
  ["an absolute path", (tar: Buffer) => renamed(tar, "/etc/member"), "it has a member /etc/member"],
])("refuses %s", async (_what, change, message) => {
  writeFileSync(join(folder, "member"), "x".repeat(1000));
  const reading = membersOf(inPieces(change(tarOf("member")), 512));
  await expect(reading).rejects.toThrow(TarError);
  await expect(reading).rejects.toThrow(message);
});

/** With the checksum of the changed header. */
function renamed(tar: Buffer, name: string): Buffer {
  tar.fill(0, 0, 100);
  tar.write(name);
  tar.fill(" ", 148, 156);
  const sum = tar.subarray(0, 512).reduce((total, byte) => total + byte, 0);
  tar.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148);
  return tar;
}
