import { expect, it } from "vitest";
import { prometheusText } from "../../../src/pitr/prometheus.ts";
import { windowsOf } from "../../../src/pitr/window.ts";
import type { WindowEnd } from "../../../src/pitr/window-end.ts";
import { archive, base, now, segmentOf, segments } from "./archive.ts";

const atServer = { behindMs: 0, missing: null, why: null };

const metrics = (wal: readonly string[], newest: number, end: WindowEnd = atServer) => {
  const found = windowsOf(archive({ wal, bases: [base(1, 3)] }));
  return prometheusText(
    { end, database: "main", store: "s", drill: null, gaps: [], ...found },
    newest,
    "production",
    now,
  );
};

it("a window that goes back three days says so", () => {
  expect(metrics(segments(1, 5), 1)).toMatch(/^ops_pitr_window_seconds\{.*\} 259200$/m);
});

it("the window of a timeline that was left is none where the newest one cannot be restored", () => {
  const text = metrics([...segments(1, 5), segmentOf(6, 2)], 2);

  expect(text).toMatch(/^ops_pitr_window_seconds\{.*\} 0$/m);
  expect(text).not.toMatch(/^ops_pitr_window_begin_timestamp_seconds\{/m);
});

it("a window that ended is only as long as it was, and one that lost its end is none", () => {
  const stopped = metrics(segments(1, 5), 1, { behindMs: 86_400_000, missing: "WAL", why: null });
  const lost = metrics(segments(1, 5), 1, { behindMs: null, missing: "WAL", why: null });
  const alone = metrics(segments(1, 5), 1, { behindMs: null, missing: null, why: "it does not answer" });

  expect(stopped).toMatch(/^ops_pitr_window_seconds\{.*\} 172800$/m);
  expect(stopped).toMatch(
    new RegExp(`^ops_pitr_window_end_timestamp_seconds\\{.*\\} ${now.getTime() / 1000 - 86_400}$`, "m"),
  );
  expect(lost).toMatch(/^ops_pitr_window_seconds\{.*\} 0$/m);
  expect(alone).not.toContain("ops_pitr_window_seconds{");
});
