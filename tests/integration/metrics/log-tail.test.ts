import {
  appendFile,
  chmod,
  copyFile,
  mkdir,
  mkdtemp,
  rename,
  rm,
  truncate,
  writeFile,
} from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { systemClock } from "../../../src/core/clock.ts";
import { LogTail } from "../../../src/log-tail/tail.ts";

let directory: string;
let file: string;
let tail: LogTail;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "ops-tail-"));
  file = join(directory, "access.log");
  tail = new LogTail(file, systemClock);
});
afterEach(async () => {
  await tail.close();
  await rm(directory, { recursive: true, force: true });
});

async function begun(text = "") {
  await writeFile(file, text);
  await tail.begin();
}

describe("the lines of a log", () => {
  test("are those from now on", async () => {
    await begun("old\n");
    await appendFile(file, "one\ntwo\n");

    expect(await tail.take()).toEqual(["one", "two"]);
    expect(await tail.take()).toEqual([]);
    expect(tail.state).toBe("reading");
  });

  test("count once they are whole, also where a character was cut", async () => {
    await begun("old without an end");
    const euro = Buffer.from("5 €\n");
    await appendFile(file, euro.subarray(0, 3));
    expect(await tail.take()).toEqual([]);
    await appendFile(file, euro.subarray(3));

    expect(await tail.take()).toEqual(["5 €"]);
  });

  test("are read to the end of a file that was moved away, and from the beginning of the new one", async () => {
    await begun();
    await appendFile(file, "one\n");
    await rename(file, `${file}.1`);
    await appendFile(`${file}.1`, "two\n");
    expect(await tail.take()).toEqual(["one", "two"]);
    expect(tail.state).toBe("gone");
    await writeFile(file, "three\n");
    // A worker that has not opened the new one yet.
    await appendFile(`${file}.1`, "late\n");

    expect((await tail.take()).sort()).toEqual(["late", "three"]);
    expect(tail.state).toBe("reading");
  });

  test("are read once where a file is put back", async () => {
    await begun();
    await appendFile(file, "one\n");
    expect(await tail.take()).toEqual(["one"]);
    await rename(file, `${file}.1`);
    expect(await tail.take()).toEqual([]);
    await rename(`${file}.1`, file);
    await appendFile(file, "two\n");

    expect(await tail.take()).toEqual(["two"]);
    expect(tail.state).toBe("reading");
  });

  test("go on in a file that was copied and emptied", async () => {
    await begun("a long line that was there before\n");
    await appendFile(file, "one\n");
    expect(await tail.take()).toEqual(["one"]);
    await copyFile(file, `${file}.1`);
    await truncate(file);
    await appendFile(file, "two\n");

    expect(await tail.take()).toEqual(["two"]);
  });

  test("begin with the first one of a file that comes later, and it is told that there is none", async () => {
    await tail.begin();
    expect(await tail.take()).toEqual([]);
    expect(tail.state).toBe("waiting");
    await writeFile(file, "one\n");

    expect(await tail.take()).toEqual(["one"]);
  });

  test("of a million bytes without an end are none, and the next one is", async () => {
    await begun();
    await appendFile(file, "x".repeat(1_000_000));
    expect(await tail.take()).toEqual([]);
    await appendFile(file, "x\nnext\n");

    expect(await tail.take()).toEqual(["next"]);
  });
});

test("what is no log, or may not be read, is refused by name", async () => {
  await mkdir(file);
  await expect(tail.begin()).rejects.toMatchObject({ code: "E_LOG_FILE", exitCode: 2 });
  await rm(file, { recursive: true });
  if (process.getuid?.() === 0) return;
  await writeFile(file, "");
  await chmod(file, 0);
  await expect(tail.begin()).rejects.toMatchObject({ code: "E_LOG_FILE" });
});
