import { fileURLToPath } from "node:url";
import { auditDdl, type DeployState, deployState } from "./deploy-state.ts";
import { type Load, type LoadResult, startLoad } from "./load.ts";
import { type OpsResult, ops, projectRoot } from "./ops.ts";
import { startSandbox, type TestSandbox } from "./sandbox.ts";

/** Where the run is killed: around the n-th entry of its journal. */
export interface KillPoint {
  readonly entry: number;
  /** `before`: the effect of the entry before it is complete. `after`: the entry is durable, its effect has not begun. */
  readonly when: "before" | "after";
}

/** As short as it can be: where it is killed depends on entries, not on time. */
const inputs = ["bake=100ms", "interval=100ms", "soak=100ms"].flatMap((each) => ["--input", each]);
const deploy = ["run", "runbooks/deploy.yaml", ...inputs, "--yes"];
const killer = fileURLToPath(new URL("kill-at-entry.mjs", import.meta.url));

/** A sandbox under load in which deploys are killed and mended, one after another. */
export class CrashMatrix {
  readonly sandbox: TestSandbox;
  private load: Load;

  private constructor(sandbox: TestSandbox) {
    this.sandbox = sandbox;
    this.load = startLoad(sandbox.urls.application);
  }

  static async start(): Promise<CrashMatrix> {
    return new CrashMatrix(await startSandbox());
  }

  async stop(): Promise<LoadResult> {
    const result = await this.load.stop();
    await this.sandbox.down();
    return result;
  }

  /** Back to version 1, with the audit that the states compare. */
  async reset(): Promise<void> {
    await this.sandbox.reset();
    await auditDdl(this.sandbox);
  }

  ops(args: readonly string[], env: Record<string, string> = {}): Promise<OpsResult> {
    return ops(args, { config: this.sandbox.config, cwd: projectRoot, env });
  }

  deploy(): Promise<OpsResult> {
    return this.ops(deploy);
  }

  /** Deploys, and is killed with SIGKILL there. */
  async deployKilled({ entry, when }: KillPoint): Promise<OpsResult> {
    return this.ops(deploy, {
      NODE_OPTIONS: `--import=${killer}`,
      KILL_AT_ENTRY: String(entry),
      KILL_WHEN: when,
    });
  }

  state(): Promise<DeployState> {
    return deployState(this.sandbox);
  }

  /** How many entries the newest run's journal has. */
  async entries(): Promise<number> {
    const { stdout } = await this.ops(["runs", "show", "last", "--events"]);
    return stdout.trim().split("\n").length;
  }
}
