import { spawn } from "node:child_process";
import { childEnvironment } from "../process/run-program.ts";

/**
 * Reads until its input ends, which is when its owner is gone, however that died; a line before says that all is well.
 * Then it ends the server as an immediate shutdown does, and removes the folder. A number in the file that belongs to
 * another program by now is left alone where the system tells (proc(5)).
 */
const script = `
read -r line && exit 0
for attempt in 1 2 3 4 5 6 7 8 9 10; do
  pid=$(head -n 1 "$1/data/postmaster.pid" 2>/dev/null)
  [ -n "$pid" ] || break
  [ ! -d /proc/self ] || [ "$(cat "/proc/$pid/comm" 2>/dev/null)" = postgres ] || break
  kill -QUIT "$pid" 2>/dev/null || break
  sleep 0.5
done
# An initdb that was under way may still write, for longer the busier the machine is.
for attempt in 1 2 3 4 5 6 7 8 9 10; do
  rm -rf "$1"
  sleep 3
done
`;

/** Ends the server in `folder` and removes the folder when this process dies before `release` is called. */
export function watchFolder(folder: string): { readonly release: () => void } {
  const child = spawn("/bin/sh", ["-c", script, "ops-watchdog", folder], {
    stdio: ["pipe", "ignore", "ignore"],
    // A Ctrl-C of the terminal is not for it.
    detached: true,
    cwd: "/",
    env: childEnvironment(),
  });
  // Where it cannot run or was killed, the next command that needs a throw-away server cleans up.
  child.once("error", () => undefined);
  child.stdin.on("error", () => undefined);
  child.unref();
  // The pipe must not keep us alive either; Node types it as a stream without a handle.
  if ("unref" in child.stdin && typeof child.stdin.unref === "function") child.stdin.unref();
  return {
    release: () => {
      child.stdin.end("done\n");
    },
  };
}
