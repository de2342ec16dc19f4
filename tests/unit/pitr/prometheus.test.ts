import { expect, it } from "vitest";
import { prometheusText } from "../../../src/pitr/prometheus.ts";
import { windowsOf } from "../../../src/pitr/window.ts";
import { archive, base, now, segmentOf, segments } from "./archive.ts";

const metrics = (wal: readonly string[], newest: number) => {
  const found = windowsOf(archive({ wal, bases: [base(1, 3)] }));
  return prometheusText({ database: "main", store: "s", drill: null, ...found }, newest, "production", now);
};

it("a window that goes back three days says so", () => {
  expect(metrics(segments(1, 5), 1)).toMatch(/^ops_pitr_window_seconds\{.*\} 259200$/m);
});

it("the window of a timeline that was left is none where the newest one cannot be restored", () => {
  const text = metrics([...segments(1, 5), segmentOf(6, 2)], 2);

  expect(text).toMatch(/^ops_pitr_window_seconds\{.*\} 0$/m);
  expect(text).not.toMatch(/^ops_pitr_window_begin_timestamp_seconds\{/m);
});
