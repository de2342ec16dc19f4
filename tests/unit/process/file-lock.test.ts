import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempDisposable } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { withFileLock } from "../../../src/process/file-lock.ts";
import { projectRoot } from "../../support/ops.ts";

const holder = `
  import { withFileLock } from ${JSON.stringify(join(projectRoot, "src/process/file-lock.ts"))};
  await withFileLock(process.argv[1], { patience: 0 }, async () => {
    console.log("held");
    await new Promise((resolve) => setTimeout(resolve, 60_000));
  });
`;

test("a lock is another process's until that ends, however it ends", async () => {
  await using folder = await mkdtempDisposable(join(tmpdir(), "ops-lock-"));
  const path = join(folder.path, "lock");
  const other = spawn(process.execPath, ["--input-type=module", "-e", holder, path], {
    stdio: ["ignore", "pipe", "ignore"],
  });
  try {
    await once(other.stdout, "data");
    const early = withFileLock(path, { patience: 100 }, async () => "early");
    await expect(early).rejects.toMatchObject({ code: "E_FILE_LOCK", hint: expect.stringContaining(path) });
    const waiting = withFileLock(path, { patience: 10_000 }, async () => "mine");
    other.kill("SIGKILL");

    expect(await waiting).toBe("mine");
  } finally {
    other.kill("SIGKILL");
  }
});

test("within one process, too, one has it after the other; and who is told to stop does not wait", async () => {
  await using folder = await mkdtempDisposable(join(tmpdir(), "ops-lock-"));
  const path = join(folder.path, "lock");
  const order: string[] = [];
  const stop = new AbortController();
  const work = (name: string) => async () => {
    order.push(`${name} begins`);
    await new Promise((resolve) => setTimeout(resolve, 30));
    order.push(`${name} ends`);
  };

  const first = withFileLock(path, { patience: 5000 }, work("a"));
  const second = withFileLock(path, { patience: 5000 }, work("b"));
  const third = withFileLock(path, { patience: 5000, signal: stop.signal }, work("c"));
  stop.abort(new Error("no more"));

  await expect(third).rejects.toThrow("no more");
  await Promise.all([first, second]);
  expect(order.map((each) => each.split(" ")[1])).toEqual(["begins", "ends", "begins", "ends"]);
});

test("a folder that is not there is told", async () => {
  await expect(withFileLock("/nonexistent/lock", { patience: 0 }, async () => 1)).rejects.toMatchObject({
    code: "E_FILE_LOCK",
    retryable: false,
  });
});
