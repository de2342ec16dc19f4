import { expect, it } from "vitest";
import type { Clock } from "../../src/core/clock.ts";
import { OpsError } from "../../src/core/errors.ts";
import { rememberSecret } from "../../src/core/redaction.ts";
import type { RunRequest } from "../../src/run/events.ts";
import { type Journal, leaseDuration } from "../../src/run/journal.ts";

/** A clock that stands still until it is moved. */
export class HeldClock implements Clock {
  private ms = Date.parse("2026-01-01T00:00:00Z");

  now(): Date {
    return new Date(this.ms);
  }

  elapsed(): number {
    return this.ms;
  }

  async sleep(ms: number): Promise<void> {
    this.move(ms);
  }

  move(ms: number): void {
    this.ms += ms;
  }
}

export function runRequest(change: Partial<RunRequest> = {}): RunRequest {
  return {
    name: "deploy",
    kind: "runbook",
    text: "name: deploy",
    environment: "test",
    inputs: {},
    variables: {},
    unselected: [],
    planDigest: "sha256:0",
    plannedChanges: {},
    targets: [],
    places: {},
    actor: "ada@example",
    version: "0.0.0",
    ...change,
  };
}

/** What every journal promises. `open` gives another handle on the same, at first empty, journal of this test. */
export function journalContract(
  setting: () => { readonly clock: HeldClock; open(): Promise<Journal> },
): void {
  it("an entry is there for another handle as soon as append returns, numbered without gaps", async () => {
    const [writer, reader] = [await setting().open(), await setting().open()];
    const lease = await writer.create("r1", runRequest());

    const entry = await writer.append(lease, { type: "step.applying", step: "a" });

    expect(entry).toMatchObject({ run: "r1", sequence: 2, type: "step.applying", step: "a" });
    expect(await reader.entries("r1")).toMatchObject([{ sequence: 1, type: "run.created" }, entry]);
    expect(await reader.entries("r1", 1)).toEqual([entry]);
    expect(await reader.newest("r1")).toBe("step.applying");
    expect(await reader.newest("r2")).toBeUndefined();
    expect(await reader.lastPosition()).toBe(entry.position);
    expect(await reader.runsSince(entry.position - 1)).toEqual(["r1"]);
    expect(await reader.runsSince(entry.position)).toEqual([]);
  });

  it("what a run needs to go on comes back as it went in, also where a password is an ordinary word", async () => {
    rememberSecret("shop");
    const journal = await setting().open();
    const lease = await journal.create("r1", runRequest());
    const data = { before: { list: [1, "é", null], text: "the shop flag for /etc/shop/x" }, changes: [] };

    await journal.append(lease, { type: "step.observed", step: "a", data });

    expect((await journal.entries("r1")).at(-1)).toMatchObject({ data });
  });

  it("what would keep a secret is refused, and an output is kept without it", async () => {
    rememberSecret("hunter2-secret");
    const journal = await setting().open();
    const lease = await journal.create("r1", runRequest());
    const observed = { before: "it is hunter2-secret", changes: [] };

    const refused = await failure(
      journal.append(lease, { type: "step.observed", step: "a", data: observed }),
    );
    await journal.append(lease, { type: "step.done", step: "a", data: { output: "said hunter2-secret" } });

    expect(refused).toMatchObject({ code: "E_PLAIN_SECRET", exitCode: 2 });
    expect((await journal.entries("r1")).at(-1)).toMatchObject({ data: { output: "said ***" } });
  });

  it("runs are listed newest first", async () => {
    const { clock, open } = setting();
    const journal = await open();
    for (const id of ["r1", "r2", "r3"]) {
      await journal.create(id, runRequest());
      clock.move(1000);
    }

    expect(await journal.runs()).toEqual(["r3", "r2", "r1"]);
    expect(await journal.runs(2)).toEqual(["r3", "r2"]);
  });

  it("a target has one holder; the refusal names who, and nothing of the refused run is written", async () => {
    const journal = await setting().open();
    await journal.create("r1", runRequest({ targets: ["test/database:main"] }));

    const refused = await failure(journal.create("r2", runRequest({ targets: ["test/database:main"] })));

    expect(refused).toMatchObject({ code: "E_LOCK_HELD", exitCode: 6 });
    expect(refused.message).toMatch(
      /test\/database:main is held by run r1 \(deploy\) of ada@example, pid \d+ on /,
    );
    expect(refused.hint).toMatch(/ops runs watch r1 .*30s/);
    expect(await journal.runs()).toEqual(["r1"]);
    expect(await journal.entries("r2")).toEqual([]);
  });

  it("of several targets all are taken or none", async () => {
    const journal = await setting().open();
    await journal.create("r1", runRequest({ targets: ["b"] }));

    await failure(journal.create("r2", runRequest({ targets: ["a", "b"] })));

    await expect(journal.create("r3", runRequest({ targets: ["a"] }))).resolves.toBeDefined();
  });

  it("a released target is free at once", async () => {
    const journal = await setting().open();
    await journal.release(await journal.create("r1", runRequest({ targets: ["a"] })));

    await expect(journal.create("r2", runRequest({ targets: ["a"] }))).resolves.toBeDefined();
    expect(await journal.holder("r1")).toBeUndefined();
  });

  it("a lease that was not renewed can be taken over, and its old holder can no longer write", async () => {
    const { clock, open } = setting();
    const [paused, other] = [await open(), await open()];
    const old = await paused.create("r1", runRequest({ targets: ["a"] }));
    clock.move(leaseDuration + 1);

    const lease = await other.reopen("r1", ["a"]);

    expect(await failure(paused.append(old, { type: "run.done" }))).toMatchObject({ code: "E_LOCK_LOST" });
    expect(await failure(paused.renew(old))).toMatchObject({ code: "E_LOCK_LOST" });
    await other.append(lease, { type: "run.done" });
    expect((await other.entries("r1")).map((entry) => entry.type)).toEqual(["run.created", "run.done"]);
  });

  it("the old holder's release leaves the new holder's lease alone", async () => {
    const { clock, open } = setting();
    const journal = await open();
    const old = await journal.create("r1", runRequest({ targets: ["a"] }));
    clock.move(leaseDuration + 1);
    await journal.reopen("r1", ["a"]);

    await journal.release(old);

    expect(await failure(journal.create("r2", runRequest({ targets: ["a"] })))).toMatchObject({
      code: "E_LOCK_HELD",
    });
  });

  it("a renewed lease stays held past its first end", async () => {
    const { clock, open } = setting();
    const journal = await open();
    const lease = await journal.create("r1", runRequest({ targets: ["a"] }));
    clock.move(leaseDuration - 1000);
    await journal.renew(lease);
    clock.move(leaseDuration - 1000);

    expect(await journal.holder("r1")).toMatchObject({ run: "r1", pid: process.pid });
    expect(await failure(journal.reopen("r1", []))).toMatchObject({ code: "E_LOCK_HELD" });
  });

  it("targets are added on the way; a refusal keeps what was held", async () => {
    const journal = await setting().open();
    await journal.create("r1", runRequest({ targets: ["taken"] }));
    const lease = await journal.create("r2", runRequest({ targets: ["a"] }));

    const wider = await journal.extend(lease, ["a", "b"]);
    await failure(journal.extend(wider, ["taken"]));

    expect(wider.targets).toEqual(["run:r2", "a", "b"]);
    await journal.renew(wider);
    expect(await failure(journal.create("r3", runRequest({ targets: ["b"] })))).toMatchObject({
      code: "E_LOCK_HELD",
    });
  });
}

export async function failure(work: Promise<unknown>): Promise<OpsError> {
  try {
    await work;
  } catch (error) {
    if (error instanceof OpsError) return error;
    throw error;
  }
  throw new Error("it did not fail");
}
