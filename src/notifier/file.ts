import { open } from "node:fs/promises";
import { causeText } from "../core/errors.ts";
import type { Sent } from "./sent.ts";

/** Appends one line and waits until it is on disk. A line that a killed process left half written stays one of its own. */
export async function appendLine(what: string, file: string, line: string): Promise<Sent> {
  try {
    const handle = await open(file, "a+", 0o600);
    try {
      const { size } = await handle.stat();
      const last = size === 0 ? "\n" : (await handle.read(Buffer.alloc(1), 0, 1, size - 1)).buffer.toString();
      // In one call: what others append at the same time does not come between.
      await handle.appendFile(`${last === "\n" ? "" : "\n"}${line}\n`);
      await handle.sync();
    } finally {
      await handle.close();
    }
    return { sent: true, answer: `appended to ${file}` };
  } catch (error) {
    if (!(error instanceof Error && "code" in error)) throw error;
    return { sent: false, problem: `${what}: ${file} cannot be written: ${causeText(error)}` };
  }
}
