import type { ChalkInstance } from "chalk";
import { formatDuration } from "../../core/duration.ts";
import type { JournalEntry } from "../../run/events.ts";
import { shownRestorePoint } from "../../run/restore-point.ts";
import { renderErrorRecord } from "./error.ts";

/** An entry of the journal as one line (more for an error); undefined for what a person need not see. */
export function renderEntry(entry: JournalEntry, color: ChalkInstance): string | undefined {
  switch (entry.type) {
    case "run.created":
      return `run ${color.bold(entry.run)}: ${entry.data.name} on ${entry.data.environment}, by ${entry.data.actor}`;
    case "run.resumed":
      return `run ${color.bold(entry.run)}: resumed by ${entry.data.actor}`;
    case "run.done":
      return color.green("done");
    case "run.failed":
      return color.red("failed");
    case "run.interrupted":
      return color.yellow("interrupted");
    case "run.rollback-started":
      return color.yellow(`rolling back: ${entry.data.reason}`);
    case "run.rolled-back":
      return color.yellow("rolled back");
    case "run.needs-person":
      return color.red(`needs a person: ${entry.data.reason}`);
    case "step.skipped":
      return color.dim(`○ ${entry.step} skipped: ${entry.data.why}`);
    case "step.started":
      return `● ${entry.step}${entry.data.attempt > 1 ? ` (attempt ${entry.data.attempt})` : ""}`;
    case "step.restore-point":
      return `  ${entry.step}: ${shownRestorePoint(entry.data)}`;
    case "step.done":
      return `${color.green("✔")} ${entry.step}`;
    case "step.failed": {
      const again =
        entry.data.retryInMs === undefined
          ? ""
          : color.yellow(`\n  again in ${formatDuration(entry.data.retryInMs)}`);
      return `${color.red("✖")} ${entry.step} failed\n  ${renderErrorRecord(entry.data.error, color).replaceAll("\n", "\n  ")}${again}`;
    }
    case "step.undoing":
      return `↩ ${entry.step}`;
    case "step.undone": {
      const { undone, note } = entry.data;
      const sign = undone === false ? color.red("✖") : color.green("✔");
      const what = undone === true ? "taken back" : undone === "kept" ? "kept" : "no way back";
      return `${sign} ${entry.step} ${what}${note === undefined ? "" : `: ${note}`}`;
    }
    case "step.undo-failed":
      return `${color.red("✖")} ${entry.step} could not be taken back\n  ${renderErrorRecord(entry.data.error, color).replaceAll("\n", "\n  ")}`;
    case "step.observed":
    case "step.applying":
    case "step.checkpoint":
      return undefined;
  }
}
