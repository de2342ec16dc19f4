import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { expect, it } from "vitest";
import { liveness, processIdentity, thisProcess } from "../../../src/process/live-process.ts";

it("tells a living process from one that is gone, and from another with its pid", async () => {
  const child = spawn("sleep", ["60"]);
  const identity = processIdentity(child.pid ?? 0);
  expect(liveness(identity)).toBe("alive");
  expect(liveness({ ...thisProcess(), pidStartedAt: "another boot/1" })).toBe("gone");
  expect(liveness({ ...identity, host: "elsewhere" })).toBe("unknown");

  child.kill("SIGKILL");
  await once(child, "exit");
  expect(liveness(identity)).toBe("gone");
});

it("takes a process that has died and was not collected by its parent for gone", async () => {
  // The shell starts a child, tells its pid, and becomes a program that never collects children.
  const parent = spawn("sh", ["-c", "sleep 60 & echo $!; exec sleep 61"], {
    stdio: ["ignore", "pipe", "ignore"],
  });
  try {
    const [chunk] = (await once(parent.stdout, "data")) as [Buffer];
    const pid = Number(String(chunk));
    const until = async (file: string, content: RegExp) => {
      while (!content.test(readFileSync(file, "utf8"))) await new Promise((done) => setTimeout(done, 10));
    };
    // A shell would still collect it.
    await until(`/proc/${parent.pid}/comm`, /^sleep$/m);
    process.kill(pid, "SIGKILL");
    await until(`/proc/${pid}/stat`, /\) Z /);

    expect(liveness(processIdentity(pid))).toBe("gone");
  } finally {
    parent.kill("SIGKILL");
    await once(parent, "exit");
  }
});
