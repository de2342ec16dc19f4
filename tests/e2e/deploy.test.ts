import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { auditDdl, type DeployState, deployState } from "../support/deploy-state.ts";
import { startLoad } from "../support/load.ts";
import { ops, startOps } from "../support/ops.ts";
import { startSandbox, type TestSandbox } from "../support/sandbox.ts";

/** The deploy as a user runs it: the built command, a real database, a real balancer, live traffic. */
describe("deploy.yaml", () => {
  let sandbox: TestSandbox;
  let before: DeployState;

  /** Of a deploy whose steps are watched for so long; the rest of it waits as little as it can. */
  const deployment = (bake: string) =>
    ["runbooks/deploy.yaml", ...[`bake=${bake}`, "interval=200ms", "soak=300ms"].flatMap(asInput)] as const;
  const inSandbox = (args: readonly string[], env: Record<string, string> = {}) =>
    ops(args, { config: sandbox.config, env });
  const deploy = (...extra: string[]) => inSandbox(["run", ...deployment("500ms"), ...extra]);
  const deployJson = async (...extra: string[]) => {
    const { exitCode, stdout, stderr } = await deploy("--json", ...extra);
    return { exitCode, stderr, run: JSON.parse(stdout) };
  };

  beforeAll(async () => {
    sandbox = await startSandbox();
  });

  afterAll(async () => {
    await sandbox.down();
  });

  beforeEach(async () => {
    await sandbox.reset();
    await auditDdl(sandbox);
    before = await deployState(sandbox);
  });

  test("brings a healthy version to all of the traffic without losing a request", async () => {
    const load = startLoad(sandbox.urls.application);
    const { exitCode, run, stderr } = await deployJson();
    const traffic = await load.stop();

    expect(exitCode, stderr).toBe(0);
    expect(traffic.sent).toBeGreaterThan(300);
    expect(traffic.failed).toBe(0);
    expect(run.status).toBe("done");
    const after = await deployState(sandbox);
    expect(after.weights).toEqual({ blue: "0", green: "100" });
    expect(after.migrations).toHaveLength(4);
    expect(after.flags).toEqual([
      {
        name: "session-pooling",
        targeting: {
          fractional: [
            ["on", 10],
            ["off", 90],
          ],
        },
      },
    ]);
  });

  test("takes everything back when the new version fails, and the journal says why with the numbers", async () => {
    await sandbox.control("green", { failRate: 0.5 });
    const load = startLoad(sandbox.urls.application);
    const { exitCode, run } = await deployJson();
    await load.stop();

    expect(exitCode).toBe(4);
    expect(run.status).toBe("rolled-back");
    const file = join(sandbox.dir, "report.html");
    expect((await inSandbox(["runs", "report", "last", "--html", file])).exitCode).toBe(0);
    const page = await readFile(file, "utf8");
    expect(page).toContain("requests/s");
    expect(page.match(/<svg/g)?.length).toBeGreaterThanOrEqual(4);
    const { ddl: _, ...after } = await deployState(sandbox);
    const { ddl: __, ...expected } = before;
    expect(after).toEqual(expected);

    const journal = JSON.parse((await inSandbox(["runs", "show", "last", "--json"])).stdout);
    expect(journal.error).toMatchObject({ code: "E_CANARY_ABORTED" });
    expect(journal.error.message).toMatch(
      /green (answered \d+ of \d+ requests badly \(\d+\.\d%, limit > 5%\)|fails, and the others do not: .*\(e-value \d+, limit \d+\)) at 10%/,
    );
    const canary = journal.steps.find((step: { id: string }) => step.id === "canary");
    expect(canary.undo).toMatchObject({ status: "ended", undone: true });
  });

  test("contracts the schema last, and a roll-back of the whole deploy restores it exactly", async () => {
    const load = startLoad(sandbox.urls.application);
    const { run } = await deployJson();
    const contract = run.steps.find((step: { id: string }) => step.id === "contract");
    const expand = run.steps.find((step: { id: string }) => step.id === "schema");
    expect(expand.output.applied.map((each: { version: string }) => each.version)).toEqual(["0002", "0003"]);
    expect(contract.output.applied.map((each: { version: string }) => each.version)).toEqual(["0004"]);

    const back = await inSandbox(["runs", "rollback", "last", "--yes"]);
    await load.stop();

    expect(back.exitCode, back.stderr).toBe(0);
    const { ddl: _, ...after } = await deployState(sandbox);
    const { ddl: __, ...expected } = before;
    expect(after).toEqual(expected);
  });

  test("does not contract the schema while the old version has traffic, and takes nothing back for it", async () => {
    await inSandbox(["migrate", "up", "--phase", "expand"]);
    const contract = (...extra: string[]) =>
      inSandbox([
        "migrate",
        "up",
        "--phase",
        "contract",
        "--soak",
        "0s",
        "--traffic-version",
        "green",
        ...extra,
      ]);

    const refused = await contract();

    expect(refused.exitCode).toBe(3);
    expect(refused.stderr).toContain("E_CONTRACT_TOO_EARLY");
    expect(refused.stderr).toContain("version green has 0% of route web, and needs 100%");
    expect((await deployState(sandbox)).migrations).toHaveLength(3);
    const early = await inSandbox(["migrate", "up", "--phase", "contract"]);
    expect(early.exitCode).toBe(3);
    expect(early.stderr).toMatch(/0003_create_session has been in use for .* of a soak time of 30m 00s/);

    const overridden = await contract("--reason", "green is the only version that writes", "--json");

    expect(overridden.exitCode, overridden.stderr).toBe(0);
    expect(overridden.stdout).toContain("version green has 0% of route web, and needs 100%");
    expect((await deployState(sandbox)).migrations).toHaveLength(4);
  });

  test("stops at a no-go with exit code 3 and has changed nothing", async () => {
    await sandbox.query("DELETE FROM orders");
    const empty = await deployState(sandbox);

    const { exitCode, run } = await deployJson();

    expect(exitCode).toBe(3);
    expect(run.error).toMatchObject({ code: "E_NO_GO" });
    expect(await deployState(sandbox)).toEqual(empty);
  });

  test("shows with --dry-run what it would do, and does nothing", async () => {
    const { exitCode, stdout } = await deploy("--dry-run");

    expect(exitCode).toBe(0);
    expect(stdout).toContain("apply 0002_add_order_status");
    expect(stdout).toContain("give green 10% of the traffic");
    expect(await deployState(sandbox)).toEqual(before);
    expect(await inSandbox(["runs", "list"])).toMatchObject({ exitCode: 2 });
  });

  test("is bound to the plan that was agreed to", async () => {
    const plan = JSON.parse((await inSandbox(["plan", ...deployment("500ms"), "--json"])).stdout);
    await inSandbox(["traffic", "shift", "green", "--share", "20%", "--confirm", "0ms"]);

    const refused = await deploy("--plan", plan.digest);

    expect(refused.exitCode).toBe(1);
    expect(refused.stderr).toContain("E_PLAN_CHANGED");
    expect((await deployState(sandbox)).migrations).toEqual(before.migrations);
  });

  test("keeps a second deploy out, which says who is at work", async () => {
    const load = startLoad(sandbox.urls.application);
    const first = startOps(["run", ...deployment("2s")], { config: sandbox.config });
    await seen(first.child.stderr, "● canary");

    const second = await deploy();

    expect(second.exitCode).toBe(6);
    expect(second.stderr).toMatch(/is held by run \d{8}-\d{6}-\w{4} \(deploy\) of .+, pid \d+/);
    expect(second.stderr).toContain("ops runs watch");
    expect((await first.result).exitCode).toBe(0);
    await load.stop();
  });

  test("holds where it is on Ctrl-C and goes on from there", async () => {
    const load = startLoad(sandbox.urls.application);
    const { child, result } = startOps(["run", ...deployment("1500ms")], {
      config: sandbox.config,
    });
    // What it logs between watching the route and its first step.
    await seen(child.stderr, "route web as it is");
    child.kill("SIGINT");

    const stopped = await result;
    expect(stopped.exitCode).toBe(130);
    expect(stopped.stdout).toMatch(/go on: ops runs resume \S+/);
    expect((await deployState(sandbox)).weights).toEqual({ blue: "90", green: "10" });

    const resumed = await inSandbox(["runs", "resume", "last"]);
    await load.stop();
    expect(resumed.exitCode, resumed.stderr).toBe(0);
    expect((await deployState(sandbox)).weights).toEqual({ blue: "0", green: "100" });
  });

  test("is followed from another terminal", async () => {
    const load = startLoad(sandbox.urls.application);
    const { child, result } = startOps(["run", ...deployment("500ms")], {
      config: sandbox.config,
    });
    await seen(child.stderr, "● backup");

    const watched = await inSandbox(["runs", "watch", "last"]);

    expect(watched.exitCode).toBe(0);
    expect(watched.stdout).toContain("✔ canary");
    expect((await result).exitCode).toBe(0);
    await load.stop();
  });

  test("never shows a secret: not in output, not in the journal, not in an argument list", async () => {
    const secret = "correct-horse-battery";
    const url = sandbox.urls.database.replace("postgres@", `postgres:${secret}@`);
    const load = startLoad(sandbox.urls.application);
    const { child, result } = startOps(["run", ...deployment("500ms"), "--json"], {
      config: sandbox.config,
      env: { OPS_DATABASE_URL: url },
    });
    const argumentsSeen: string[] = [];
    const watcher = setInterval(
      () => void childArguments(child.pid ?? 0).then((seen) => argumentsSeen.push(...seen)),
      5,
    );
    const { exitCode, stdout, stderr } = await result;
    clearInterval(watcher);
    await load.stop();

    expect(exitCode, stderr).toBe(0);
    const journal = await Promise.all(
      ["journal.db", "journal.db-wal"].map((file) =>
        readFile(join(sandbox.layout.state, file), "latin1").catch(() => ""),
      ),
    );
    const shown = await inSandbox(["config", "show"], { OPS_DATABASE_URL: url });
    expect(shown.stdout).toContain("postgres:***@");
    expect(argumentsSeen.join("\n")).toContain("pg_dump");
    for (const text of [stdout, stderr, shown.stdout, ...journal, ...argumentsSeen])
      expect(text).not.toContain(secret);
  });
});

function asInput(text: string): string[] {
  return ["--input", text];
}

/** Resolves when a text has come out. */
function seen(stream: NodeJS.ReadableStream | null, text: string): Promise<void> {
  return new Promise((resolve, reject) => {
    let all = "";
    stream?.on("data", (chunk: Buffer | string) => {
      all += String(chunk);
      if (all.includes(text)) resolve();
    });
    stream?.on("end", () => reject(new Error(`"${text}" never came out:\n${all}`)));
  });
}

/** The argument lists of a process's children. */
async function childArguments(pid: number): Promise<string[]> {
  const children = await readFile(`/proc/${pid}/task/${pid}/children`, "utf8").catch(() => "");
  return Promise.all(
    children
      .trim()
      .split(" ")
      .filter(Boolean)
      .map((child) => readFile(`/proc/${child}/cmdline`, "utf8").catch(() => "")),
  );
}
