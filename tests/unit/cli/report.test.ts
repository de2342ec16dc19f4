import { expect, it } from "vitest";
import { reportPage } from "../../../src/cli/render/report/page.ts";
import type { JournalEntry, RunEvent } from "../../../src/run/events.ts";
import { runState } from "../../../src/run/run-state.ts";
import type { Sample } from "../../../src/run/sample.ts";

const began = Date.parse("2026-11-21T14:31:59.000Z");

function journal(...events: RunEvent[]): JournalEntry[] {
  return events.map((event, index) => ({
    ...event,
    run: "20261121-143159-x7k2",
    sequence: index + 1,
    position: index + 1,
    at: new Date(began + index * 1000).toISOString(),
  }));
}

const created: RunEvent = {
  type: "run.created",
  data: {
    name: "deploy <b>",
    kind: "runbook",
    text: "",
    environment: "production",
    inputs: {},
    variables: {},
    unselected: [],
    planDigest: "d",
    plannedChanges: { canary: [{ target: "route:web", action: "update", summary: 'give "green" & more' }] },
    targets: [],
    places: {},
    actor: "ada",
    version: "1.0.0",
    process: { pid: 1, host: "here" },
  },
};

const sample = (second: number, green: number | null, evidence: number): Sample => ({
  at: new Date(began + second * 1000).toISOString(),
  measures: [
    { name: "% bad", lines: { green, blue: 0 } },
    { name: "e-value", scale: "log", limit: 100, lines: { errors: evidence } },
  ],
});

function page(...samples: Sample[]): string {
  const started = {
    type: "step.started",
    step: "canary",
    data: { attempt: 1, input: {}, targets: [] },
  } as const;
  const kept = { type: "step.checkpoint", step: "canary", data: { samples } } as const;
  const failed = {
    type: "step.failed",
    step: "canary",
    data: {
      error: { code: "E_CANARY_ABORTED", message: "<script>alert(1)</script>", hint: "look", exitCode: 1 },
    },
  } as unknown as RunEvent;
  const entries = journal(created, started, kept, failed);
  const state = runState(entries);
  if (state === undefined) throw new Error("no state");
  return reportPage(state, entries, "failed");
}

it("draws a curve for each line, with gaps, and the limit", () => {
  const text = page(
    sample(0, 1, 1),
    sample(1, 2, 5),
    sample(2, null, 20),
    sample(3, 4, 150),
    sample(4, 5, 150),
  );

  const [bad = "", evidence = ""] = text.match(/<figure>.*?<\/figure>/gs) ?? [];
  expect(bad).toContain("% bad");
  // Before the gap and behind it, and the other version's.
  expect(bad.match(/<polyline/g)).toHaveLength(3);
  expect(bad).not.toContain('class="limit"');
  expect(evidence).toContain("limit 100");
  // 1 stands at the bottom, 150 · 1.05 at the top; 20 at log 20 / log 157.5 between them.
  const heights = /points="([^"]*)"/
    .exec(evidence)?.[1]
    ?.split(" ")
    .map((each) => Number(each.split(",")[1]));
  expect(heights).toEqual([146, 102.7, 65.5, 11.3, 11.3]);
});

it("is one page that fetches nothing, and nothing of the journal becomes markup", () => {
  const text = page(sample(0, 1, 1));

  expect(text).not.toContain("<script");
  expect(text).not.toMatch(/(src|href)=|url\(|@import/);
  expect(text).toContain("&#60;script&#62;alert(1)");
  expect(text).toContain("deploy &#60;b&#62; on production");
  expect(text).toContain("give &#34;green&#34; &#38; more");
  expect(text.match(/<circle/g)).toHaveLength(3);
});

it("has no chart where nothing was measured", () => {
  expect(page()).not.toContain("<svg");
});
