import { readFile } from "node:fs/promises";
import { type OpsOptions, type OpsResult, startOps } from "./ops.ts";

/** Runs the built command to its end; `peak` is the most memory that it had resident itself, in MiB. */
export async function opsWithPeak(
  args: readonly string[],
  options: OpsOptions,
): Promise<OpsResult & { readonly peak: number }> {
  const { child, result } = startOps(args, options);
  let peak = 0;
  const looking = setInterval(async () => {
    // The kernel keeps the highest; it is gone with the process.
    const status = await readFile(`/proc/${child.pid}/status`, "utf8").catch(() => "");
    peak = Math.max(peak, Number(/^VmHWM:\s*(\d+) kB/m.exec(status)?.[1] ?? 0) / 1024);
  }, 20);
  try {
    return { ...(await result), peak };
  } finally {
    clearInterval(looking);
  }
}
