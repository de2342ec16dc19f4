import { readFileSync } from "node:fs";
import { hostname } from "node:os";
import { bootId } from "./boot-id.ts";

export type ProcessIdentity = {
  readonly host: string;
  readonly pid: number;
  /** The kernel's own start time; null where it cannot be told. */
  readonly pidStartedAt: string | null;
};

export function thisProcess(): ProcessIdentity {
  return processIdentity(process.pid);
}

export type Liveness = "alive" | "gone" | "unknown";

/**
 * Certain only for a process of this machine: its pid exists and began when it says, or it is gone, or the pid
 * belongs to another by now. A process on another host is unknown.
 */
export function liveness(identity: ProcessIdentity): Liveness {
  if (identity.host !== hostname()) return "unknown";
  try {
    process.kill(identity.pid, 0);
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ESRCH") return "gone";
  }
  const seen = seenInProc(identity.pid);
  // Dead, and only not yet collected by its parent.
  if (seen !== undefined && /[ZXx]/.test(seen.state)) return "gone";
  const started = seen?.started ?? null;
  if (started === null || identity.pidStartedAt === null) return "unknown";
  return started === identity.pidStartedAt ? "alive" : "gone";
}

/** What `liveness` needs to know of a process of this machine. */
export function processIdentity(pid: number): ProcessIdentity {
  return { host: hostname(), pid, pidStartedAt: seenInProc(pid)?.started ?? null };
}

/**
 * State (proc(5), field 3) and boot-relative start time (field 22), the latter with the boot it counts from; undefined
 * where there is no /proc.
 */
function seenInProc(pid: number): { readonly state: string; readonly started: string } | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    // The command name may hold spaces and brackets: fields are counted after its last bracket.
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    const boot = bootId();
    return boot === undefined
      ? undefined
      : { state: fields[0] ?? "", started: `${boot}/${fields[19] ?? ""}` };
  } catch {
    return undefined;
  }
}
