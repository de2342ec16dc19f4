import { cp, mkdir, mkdtemp, readdir, readFile, rename, rm, stat, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { runProgram } from "../../src/process/run-program.ts";
import { markDone } from "../../src/wal/done-mark.ts";
import { ownSpool, takeFetched } from "../../src/wal/fetched.ts";
import { spoolOf } from "../../src/wal/spool.ts";
import { callOf, configurationAt, fileIdentity } from "../../src/wal/spool-note.ts";
import { projectRoot } from "../support/ops.ts";

const launcher = join(projectRoot, "bin", "ops");
const segment = "00000001000000000000002A";
/** As the server gives it. */
const path = `pg_wal/${segment}`;
const options = ["--database", "main", "--env", "two words"];
const longWay = { exitCode: 9, stdout: "the long way" };
const answered = { exitCode: 0, stdout: "", stderr: "" };

describe("what the launcher answers without Node", () => {
  let folder: string;
  let data: string;
  let config: string;

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "ops launcher "));
    data = join(folder, "data");
    config = join(folder, " opsrc\\t.yaml ");
    await mkdir(join(data, "pg_wal"), { recursive: true });
    await writeFile(config, "databases: {}\n");
    await writeFile(join(data, path), "the content");
    // In the place of Node, so that it shows who answers.
    await writeFile(join(folder, "node"), "#!/bin/sh\necho the long way\nexit 9\n", { mode: 0o755 });
  });

  afterEach(() => rm(folder, { recursive: true, force: true }));

  const call = (args: readonly string[], env: Readonly<Record<string, string>> = {}, cwd = data) =>
    runProgram(launcher, args, { cwd, env: { OPS_NODE: join(folder, "node"), ...env } });

  function spoolBeside(file: string) {
    const spool = spoolOf(file);
    if (spool === undefined) throw new Error("no spool");
    return spool;
  }

  describe("of wal push", () => {
    const pushArgs = ["wal", "push", path, ...options];
    const push = (env?: Readonly<Record<string, string>>, cwd?: string) => call(pushArgs, env, cwd);
    const mark = () => join(data, "pg_wal/ops-spool/done", segment);

    beforeEach(() => {
      const file = join(data, path);
      const identity = fileIdentity(file);
      const configuration = configurationAt(config);
      markDone(spoolBeside(file), segment, { configuration, file: identity, call: callOf(pushArgs, path) });
    });

    it("a file that is marked for this very call, once", async () => {
      expect(await push()).toMatchObject(answered);
      expect(await readdir(join(data, "pg_wal/ops-spool/done"))).toEqual([]);
      expect(await push()).toMatchObject(longWay);
    });

    it("not where a word, a variable or the place is another one", async () => {
      for (const args of [
        ["wal", "push", path],
        ["wal", "push", path, ...options, "--json"],
        ["wal", "push", path, "--database", "main", "--env", "two", "words"],
        ["wal", "push", path, "--database", "other", "--env", "two words"],
        ["wal", "push", ...options, path],
        ["wal", "fetch", path, ...options],
        ["wal", "push", segment, ...options],
        ["wal", "push", `pg_wal/../${path}/`, ...options],
        ["wal", "push"],
        ["wal"],
        [],
      ])
        expect(await call(args), args.join(" ")).toMatchObject(longWay);
      for (const name of ["OPS_CONFIG", "OPS_ENV", "OPS_DATABASE_URL"])
        expect(await push({ [name]: "x" }), name).toMatchObject(longWay);
      expect(await push()).toMatchObject(answered);
    });

    it("not where the file is another one of the same content, size and time", async () => {
      const file = join(data, path);
      const { atime, mtime } = await stat(file);
      await cp(file, `${file}.new`, { preserveTimestamps: true });
      await rename(`${file}.new`, file);
      await utimes(file, atime, mtime);

      expect(await push()).toMatchObject(longWay);
    });

    it("not where the file or the configuration was written meanwhile, or is gone", async () => {
      for (const each of [join(data, path), config]) {
        const before = await readFile(each);
        await writeFile(each, before);
        expect(await push()).toMatchObject(longWay);
        await rm(each);
        expect(await push()).toMatchObject(longWay);
        await writeFile(each, before);
      }
    });

    it("not in a copy of the data folder", async () => {
      const copy = join(folder, "copy");
      await runProgram("cp", ["-a", data, copy]);

      expect(await push({}, copy)).toMatchObject(longWay);
      expect(await push()).toMatchObject(answered);
    });

    it("not by a mark that a crash has cut off, wherever", async () => {
      const text = await readFile(mark(), "utf8");
      const ends = [...text].flatMap((letter, at) => (letter === "\n" ? [at - 1, at] : []));
      for (const end of [0, ...ends.slice(0, -1)]) {
        await writeFile(mark(), text.slice(0, end));
        expect(await push(), text.slice(0, end)).toMatchObject(longWay);
      }
      await writeFile(mark(), text);
      expect(await push()).toMatchObject(answered);
    });

    it("not of before the machine has started anew", async () => {
      const text = await readFile(mark(), "utf8");
      expect(text.split("\n")[1]).toMatch(/^[0-9a-f-]{36}$/);
      await writeFile(mark(), text.replace(/^[0-9a-f-]{36}$/m, "00000000-0000-0000-0000-000000000000"));

      expect(await push()).toMatchObject(longWay);
    });

    it("not where a line of the mark would be two", async () => {
      const args = ["wal", "push", path, "--env", "two\nlines"];
      const file = join(data, path);
      await rm(mark());
      const note = {
        configuration: configurationAt(config),
        file: fileIdentity(file),
        call: callOf(args, path),
      };
      markDone(spoolBeside(file), segment, note);

      expect(await call(args)).toMatchObject(longWay);
    });
  });

  describe("of wal fetch", () => {
    const target = "pg_wal/RECOVERYXLOG";
    const fetchArgs = ["wal", "fetch", segment, target, ...options];
    const fetched = (name: string) => join(data, "pg_wal/ops-spool/fetched", name);
    const isThere = (file: string) =>
      stat(join(data, file)).then(
        () => true,
        () => false,
      );
    const lockOf = (pid: number | undefined) =>
      writeFile(
        join(data, "pg_wal/ops-spool/fetch.lock"),
        `${JSON.stringify({ host: "h", pid, pidStartedAt: null })}\n`,
      );

    beforeEach(async () => {
      const spool = spoolBeside(join(data, target));
      await mkdir(join(data, "pg_wal/ops-spool"));
      ownSpool(spool, config, callOf(fetchArgs, segment, target));
      await writeFile(fetched(segment), "the segment");
      await lockOf(process.pid);
    });

    it("a segment that was fetched for this very call, once", async () => {
      expect(await call(fetchArgs)).toMatchObject(answered);
      expect(await readFile(join(data, target), "utf8")).toBe("the segment");
      expect(await isThere(`pg_wal/ops-spool/fetched/${segment}`)).toBe(false);
      expect(await call(fetchArgs)).toMatchObject(longWay);
    });

    it("not for another call, and the segment stays", async () => {
      for (const args of [
        ["wal", "fetch", segment, target],
        ["wal", "fetch", segment, target, ...options, "--stores", "other"],
        ["wal", "fetch", segment, ...options],
        ["wal", "fetch", segment],
        ["wal", "fetch", "00000002.history", target, ...options],
        ["wal", "fetch", segment, "RECOVERYXLOG", ...options],
        ["wal", "fetch", segment, "pg_wal/ops-spool", ...options],
      ])
        expect(await call(args), args.join(" ")).toMatchObject(longWay);
      expect(await call(fetchArgs, { OPS_CONFIG: "x" })).toMatchObject(longWay);
      await writeFile(config, "databases: {}\n");
      expect(await call(fetchArgs)).toMatchObject(longWay);
      expect(await isThere(`pg_wal/ops-spool/fetched/${segment}`)).toBe(true);
      expect(await isThere(target)).toBe(false);
    });

    it("waits for one that is on its way, as long as somebody fetches it", async () => {
      await rename(fetched(segment), `${fetched(segment)}.fetching`);
      const waiting = call(fetchArgs);
      expect(await Promise.race([waiting, call(["--version"])])).toMatchObject({ stdout: "the long way" });
      await rename(`${fetched(segment)}.fetching`, fetched(segment));
      expect(await waiting).toMatchObject(answered);

      await writeFile(`${fetched(segment)}.fetching`, "");
      await lockOf(undefined);
      expect(await call(fetchArgs)).toMatchObject(longWay);
    });

    it("leaves it to Node to read ahead again, where little is left and nobody does", async () => {
      await lockOf(undefined);
      expect(await call(fetchArgs)).toMatchObject(longWay);
      for (let each = 0; each < 9; each += 1)
        await writeFile(fetched(segment.slice(0, 23) + each), "another");
      expect(await call(fetchArgs)).toMatchObject(answered);
    });

    it("by the note that Node reads as well", async () => {
      const from = join(data, target);
      const noted = callOf(fetchArgs, segment, target);
      expect(await takeFetched(segment, from, [...noted, "other"])).toBe(false);
      expect(await takeFetched(segment, from, noted)).toBe(true);
    });
  });
});
