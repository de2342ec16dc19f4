import { describe, expect, it } from "vitest";
import type { Journal } from "../../../src/run/journal.ts";
import { findRun, newRunId } from "../../../src/run/run-id.ts";

const journalOf = (...ids: string[]) => ({ runs: async () => ids }) as unknown as Journal;
const known = journalOf("20260102-000000-k3x9", "20260101-000000-abcd", "20260101-000000-efgh");

describe("a run's id", () => {
  it("sorts by time and is hard to mishear", () => {
    const ids = [1, 2, 3].map((day) => newRunId(new Date(Date.UTC(2026, 0, day, 9, 45, 12))));

    expect([...ids].sort()).toEqual(ids);
    for (const id of ids) expect(id).toMatch(/^2026010\d-094512-[a-hj-km-np-z2-9]{4}$/);
  });

  it.each([
    ["last", "20260102-000000-k3x9"],
    ["k3x9", "20260102-000000-k3x9"],
    ["20260102", "20260102-000000-k3x9"],
    ["20260101-000000-abcd", "20260101-000000-abcd"],
  ])("may be given as %s", async (wanted, id) => {
    expect(await findRun(known, wanted)).toBe(id);
  });

  it.each([
    ["20260101", /fits 2 runs/, /one of: 20260101-000000-abcd/],
    ["20260101-000000-abce", /no run/, /did you mean 20260101-000000-abcd\?/],
    ["zzz", /no run "zzz"/, /ops runs list/],
  ])("%s is refused", async (wanted, message, hint) => {
    await expect(findRun(known, wanted)).rejects.toMatchObject({
      code: "E_RUN_UNKNOWN",
      message: expect.stringMatching(message),
      hint: expect.stringMatching(hint),
    });
  });

  it("is not found where there are no runs", async () => {
    await expect(findRun(journalOf(), "last")).rejects.toMatchObject({ exitCode: 2, message: /no runs yet/ });
  });
});
