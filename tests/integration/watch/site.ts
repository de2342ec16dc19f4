import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { stringify } from "yaml";
import { liveness } from "../../../src/process/live-process.ts";
import { type WatchRecord, watchRecord } from "../../../src/watch/files.ts";
import type { WatchReport } from "../../../src/watch/report.ts";
import { type OpsResult, ops, type RunningOps, startOps } from "../../support/ops.ts";
import { until } from "../schedule/site.ts";

export { until };

const killer = fileURLToPath(new URL("../../support/kill-at-entry.mjs", import.meta.url));

/** A folder with a configuration and the built command on it; the gate `release` reads a number from the file `rate`. */
export class WatchSite {
  readonly folder = mkdtempSync(join(tmpdir(), "ops-watch-"));

  constructor(more: object = {}) {
    const rate = {
      id: "rate",
      kind: "command",
      with: { command: ["cat", "rate"] },
      fail: "> 5%",
      "fresh-for": "1h",
    };
    const gates = { release: { checks: [rate] } };
    writeFileSync(this.path(".opsrc"), stringify({ gates, ...more }));
    // Appends a line, so that a second run of it would show.
    this.write(
      "act",
      '#!/bin/sh\necho "$OPS_WATCH_GATE $OPS_WATCH_REASONS" >> acted\necho the action was here\n',
    );
    this.write("rate", "1%\n");
  }

  path(name: string): string {
    return join(this.folder, name);
  }

  write(name: string, text: string): void {
    writeFileSync(this.path(name), text, { mode: 0o755 });
  }

  /** Lines of a file; none where it is not there. */
  lines(name: string): string[] {
    if (!existsSync(this.path(name))) return [];
    return readFileSync(this.path(name), "utf8")
      .split("\n")
      .filter((line) => line !== "");
  }

  ops(args: readonly string[], env: Record<string, string> = {}): Promise<OpsResult> {
    return ops(args, { cwd: this.folder, env });
  }

  start(args: readonly string[], env: Record<string, string> = {}): RunningOps {
    return startOps(args, { cwd: this.folder, env });
  }

  /** Killed around an entry of its journal, counted from 1. */
  killedAt(entry: number, when: "before" | "after", args: readonly string[]): Promise<OpsResult> {
    const options = ` --import=${killer}`;
    return this.ops(args, { NODE_OPTIONS: options, KILL_AT_ENTRY: String(entry), KILL_WHEN: when });
  }

  async report(): Promise<WatchReport> {
    return JSON.parse((await this.ops(["watch", "report", "--json"])).stdout) as WatchReport;
  }

  async runs(): Promise<{ run: string; name: string; status: string; actor: string }[]> {
    return JSON.parse((await this.ops(["runs", "list", "--json"])).stdout).runs;
  }

  /** The newest watch as its file has it, which is read sooner than a command starts; undefined before its first look. */
  record(): WatchRecord | undefined {
    const folder = this.path(".ops/watches");
    if (!existsSync(folder)) return undefined;
    const [newest] = readdirSync(folder)
      .filter((file) => /^[^.]+\.json$/.test(file))
      .sort()
      .reverse();
    return newest === undefined
      ? undefined
      : watchRecord.parse(JSON.parse(readFileSync(join(folder, newest), "utf8")));
  }

  /** Also ends a watch that was left behind. */
  remove(): void {
    const left = this.record()?.process;
    if (left !== undefined && liveness(left) === "alive") process.kill(left.pid, "SIGKILL");
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** A watch that looks every 100 ms and triggers at the third bad look. */
export function watchWords(...more: string[]): string[] {
  return ["watch", "--gate", "release", "--for", "60s", "--every", "100ms", ...more];
}
