import { readFileSync } from "node:fs";

/** Another one each time the machine has started; undefined where the kernel tells none. */
export function bootId(): string | undefined {
  try {
    return readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
  } catch {
    return undefined;
  }
}
