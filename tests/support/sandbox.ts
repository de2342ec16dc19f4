import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import pg from "pg";
import { readPorts, type SandboxPorts } from "../../src/sandbox/description.ts";
import { takeDown } from "../../src/sandbox/down.ts";
import { type SandboxLayout, sandboxLayout } from "../../src/sandbox/layout.ts";
import { operations } from "../../src/sandbox/operations.ts";
import { resetSandbox } from "../../src/sandbox/reset.ts";
import { urlsOf } from "../../src/sandbox/status.ts";
import { bringUp } from "../../src/sandbox/up.ts";
import { RecordingReport, testContext } from "./context.ts";

export interface Faults {
  /** Share of the requests that are answered with 500, 0 to 1. */
  readonly failRate?: number;
  readonly latencyMs?: number;
}

export interface TestSandbox {
  readonly dir: string;
  /** Path of its `.opsrc`: what `ops(args, { config })` takes. */
  readonly config: string;
  readonly ports: SandboxPorts;
  readonly urls: ReturnType<typeof urlsOf>;
  readonly layout: SandboxLayout;
  /** Back to the state right after the start, in well under a second. */
  reset(): Promise<void>;
  /** Tells a version of the sample application to fail or to be slow. */
  control(version: "blue" | "green", faults: Faults): Promise<void>;
  /** Rows of a query in the sample application's database. */
  query(sql: string, values?: unknown[]): Promise<Record<string, unknown>[]>;
  down(): Promise<void>;
}

/** A sandbox of the test's own in a temp folder. `down` leaves nothing behind, whatever happened in between. */
export async function startSandbox(): Promise<TestSandbox> {
  const dir = await mkdtemp(join(tmpdir(), "ops-sb-"));
  const layout = sandboxLayout(dir);
  const context = testContext({});
  try {
    await bringUp(context, layout, new RecordingReport());
    const ports = await readPorts(layout);
    if (ports === undefined) throw new Error(`no sandbox in ${dir}`);
    const urls = urlsOf(ports);
    return {
      dir,
      config: layout.config,
      ports,
      urls,
      layout,
      reset: () => resetSandbox(context, layout),
      control: (version, faults) => control(urls[version], faults),
      query: (sql, values) => query(urls.database, sql, values),
      down: async () => void (await takeDown(layout)),
    };
  } catch (error) {
    await takeDown(layout);
    throw error;
  }
}

/** The operation as the command and the engine see it. */
export function sandboxOperation(verb: "up" | "status" | "down" | "reset") {
  const found = operations.find((each) => each.name === `sandbox.${verb}`);
  if (found === undefined) throw new Error(`no operation sandbox.${verb}`);
  return found;
}

async function control(url: string, faults: Faults): Promise<void> {
  const response = await fetch(`${url}control`, { method: "POST", body: JSON.stringify(faults) });
  if (!response.ok) throw new Error(`${url}control: ${response.status} ${await response.text()}`);
  await response.arrayBuffer();
}

async function query(url: string, sql: string, values: unknown[] = []): Promise<Record<string, unknown>[]> {
  const client = new pg.Client(url);
  await client.connect();
  try {
    return (await client.query(sql, values)).rows;
  } finally {
    await client.end();
  }
}
