import { describe, expect, it } from "vitest";
import { replayEnd, requireAsked, serverTime } from "../../../src/pitr/replay-end.ts";
import type { RestoreTarget } from "../../../src/pitr/restore-target.ts";

const log = (stopping: string, last = "2026-11-21 15:31:58.999999+01") =>
  replayEnd(`LOG:  recovery stopping ${stopping}
LOG:  redo done at 0/5000110 system usage: CPU: user: 0.00 s
LOG:  last completed transaction was at log time ${last}
`);

describe("the end of a replay", () => {
  it("is read from the server's log", () => {
    expect(log('before WAL location (LSN) "0/5000148"')).toEqual({
      stoppedAt: 'before WAL location (LSN) "0/5000148"',
      replayedTo: "0/5000110",
      lastTransaction: "2026-11-21 15:31:58.999999+01",
    });
    expect(serverTime("2026-11-21 15:31:58.999999+01")?.toISOString()).toBe("2026-11-21T14:31:58.999Z");
    expect(serverTime("2026-11-21 20:01:58+05:30")?.toISOString()).toBe("2026-11-21T14:31:58.000Z");
  });

  const time: RestoreTarget = { kind: "time", time: "2026-11-21T14:31:59Z" };
  const position: RestoreTarget = { kind: "lsn", lsn: "0/5000148" };
  const transaction: RestoreTarget = { kind: "transaction", transaction: String(2n ** 32n + 745n) };
  const name: RestoreTarget = { kind: "name", name: "before" };
  it.each([
    [time, log("before commit of transaction 745, time 2026-11-21 15:32:00+01")],
    [position, log('before WAL location (LSN) "0/5000148"')],
    [transaction, log("after commit of transaction 745, time 2026-11-21 15:31:58+01")],
    [name, log('at restore point "before", time 2026-11-21 15:31:58+01')],
    [time, replayEnd("")],
  ])("at %j is as asked", (target, end) => {
    expect(() => requireAsked(target, end)).not.toThrow();
  });

  it.each([
    [time, log("before commit of transaction 745, time x", "2026-11-21 15:31:59.001+01")],
    [position, log('before WAL location (LSN) "0/5000140"')],
    [transaction, log("after commit of transaction 746, time 2026-11-21 15:31:58+01")],
    [name, log('at restore point "after", time 2026-11-21 15:31:58+01')],
  ])("at another moment than %j is an error", (target, end) => {
    expect(() => requireAsked(target, end)).toThrow(/did not stop where it was asked to/);
  });
});
