import { spawn } from "node:child_process";
import { once } from "node:events";
import { text } from "node:stream/consumers";

/** What Prometheus's own tool says of metrics; nothing where they are right. */
export const promtool = (metrics: string) => ran(["check", "metrics"], metrics);

/** Compares alert rules with the alerts that a file of tests expects. */
export const testRules = (file: string) => ran(["test", "rules", file], "");

async function ran(args: readonly string[], input: string): Promise<{ code: number | null; output: string }> {
  const child = spawn("promtool", args, { stdio: ["pipe", "pipe", "pipe"] });
  const closed = once(child, "close");
  child.stdin.end(input);
  const [out, err] = await Promise.all([text(child.stdout), text(child.stderr)]);
  const [code] = await closed;
  return { code, output: out + err };
}
