import { describe, expect, it } from "vitest";
import { chainOf, withBrokenChains } from "../../../src/wal-archive/base-chain.ts";
import type { BaseManifest } from "../../../src/wal-archive/base-manifest.ts";

function base(id: string, parent?: string): BaseManifest {
  return {
    format: "ops-base-backup",
    version: 1,
    id,
    ...(parent === undefined ? {} : { parent }),
    environment: "default",
    database: "main",
    systemIdentifier: "1",
    serverVersion: "17.11",
    segmentBytes: 2 ** 24,
    timeline: 1,
    startLsn: "0/2000028",
    stopLsn: "0/2000100",
    startedAt: "2026-11-21T10:00:00.000Z",
    stoppedAt: "2026-11-21T10:00:01.000Z",
    nextTransaction: "700",
    finishedAt: "2026-11-21T10:00:02.000Z",
    run: null,
    actor: "tester",
    encryption: { method: "age", recipients: ["age1"] },
    plainBytes: 2,
    objects: [],
  };
}

const complete = (manifest: BaseManifest) => ({
  id: manifest.id,
  status: "complete" as const,
  sealed: { manifest, signature: undefined },
});

describe("chainOf", () => {
  it("leads from the full base backup to the one that is asked for", () => {
    const bases = [base("c", "b"), base("b", "a"), base("a"), base("other")];

    expect(chainOf(bases, "c")?.map((each) => each.id)).toEqual(["a", "b", "c"]);
    expect(chainOf(bases, "a")?.map((each) => each.id)).toEqual(["a"]);
  });

  it("is undefined where a link is missing or the chain is a circle", () => {
    expect(chainOf([base("c", "b"), base("b", "a")], "c")).toBeUndefined();
    expect(chainOf([base("b", "a"), base("a", "b")], "a")).toBeUndefined();
  });
});

describe("withBrokenChains", () => {
  it("breaks whatever is based on what is broken or missing, and nothing else", () => {
    const entries = [
      complete(base("d", "c")),
      complete(base("c", "b")),
      { id: "b", status: "broken" as const, reason: "an object is missing" },
      complete(base("y", "x")),
      complete(base("a")),
    ];

    expect(withBrokenChains(entries).map((each) => `${each.id} ${each.status}`)).toEqual([
      "d broken",
      "c broken",
      "b broken",
      "y broken",
      "a complete",
    ]);
    expect(withBrokenChains(entries)[3]).toMatchObject({ reason: "x, which it is based on, is missing" });
  });
});
