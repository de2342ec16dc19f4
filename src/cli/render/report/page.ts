import { formatDuration } from "../../../core/duration.ts";
import type { ErrorRecord, Json } from "../../../core/errors.ts";
import type { JournalEntry } from "../../../run/events.ts";
import { gateResultIn, renderEvidence } from "../../../run/gate-verdict.ts";
import { shownRestorePoint } from "../../../run/restore-point.ts";
import type { RunState, StepState } from "../../../run/run-state.ts";
import { type Sample, samplesIn } from "../../../run/sample.ts";
import { Html, html } from "./html.ts";
import { lineCharts } from "./line-chart.ts";
import { style } from "./style.ts";

/**
 * A run as one page of HTML that needs nothing else: what was asked, what every step did and when, and the charts of
 * what it measured. Everything is from the journal, which holds no secrets.
 *
 * @param status as a person reads it: `done`, `crashed`
 */
export function reportPage(state: RunState, entries: readonly JournalEntry[], status: string): string {
  const { request } = state;
  const steps = [...state.steps.values()];
  const tone = status === "done" ? "done" : status === "running" ? "dim" : "failed";
  const title = `${request.name} on ${request.environment}`;
  const page = html`<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1"><title>${title}: ${status}</title><style>${new Html(style)}</style></head>
<body>
<h1>${title} <span class="${tone}">${status}</span></h1>
<p class="dim">run <code>${state.id}</code> by ${request.actor}, ${state.createdAt} to ${state.lastAt} (${between(state.createdAt, state.lastAt)}), ops ${request.version}${request.file === undefined ? "" : html`, runbook <code>${request.file}</code>`}</p>
${state.error === undefined ? "" : errorBlock(state.error)}
${state.reason === undefined ? "" : html`<p class="failed">needs a person: ${state.reason}</p>`}
${Object.keys(request.inputs).length === 0 ? "" : html`<h2>Inputs</h2>${json(request.inputs)}`}
<h2>Steps</h2>
<div class="scroll"><table><thead><tr><th>Step</th><th>State</th><th class="number">Time</th><th class="track">${state.createdAt.slice(11, 19)} to ${state.lastAt.slice(11, 19)}</th></tr></thead><tbody>
${steps.map((step) => stepRow(step, state))}
</tbody></table></div>
${steps.map((step) => stepSection(step, samplesOf(entries, step.id)))}
<h2>Plan</h2>
<p class="dim">digest <code>${request.planDigest}</code></p>
${Object.entries(request.plannedChanges).map(([step, changes]) =>
  changes.length === 0
    ? html``
    : html`<h3>${step}</h3><ul>${changes.map((each) => html`<li><code>${each.target}</code> ${each.summary}</li>`)}</ul>`,
)}
</body></html>
`;
  return page.text;
}

function samplesOf(entries: readonly JournalEntry[], step: string): Sample[] {
  return entries.flatMap((each) =>
    each.type === "step.checkpoint" && each.step === step ? samplesIn(each.data) : [],
  );
}

function stepRow(step: StepState, { createdAt, lastAt }: RunState): Html {
  const all = Math.max(1, Date.parse(lastAt) - Date.parse(createdAt));
  const start = Math.max(0, Date.parse(step.startedAt) - Date.parse(createdAt));
  const length = Math.max(0, Date.parse(step.endedAt ?? lastAt) - Date.parse(step.startedAt));
  const share = (ms: number) => Math.min(100, (100 * ms) / all).toFixed(2);
  const tone = step.status === "failed" ? "failed" : step.status === "done" ? "done" : "dim";
  const tries = step.attempt > 1 ? `, ${step.attempt} attempts` : "";
  const undone = step.undo === undefined ? "" : `, ${undoWord(step.undo)}`;
  return html`<tr><td>${step.id}</td><td class="${tone}">${step.status}${tries}${undone}</td><td class="number">${step.status === "skipped" ? "" : formatDuration(length)}</td><td class="track"><span class="bar ${tone}" style="margin-left:${share(start)}%;width:${share(length)}%"></span></td></tr>`;
}

function stepSection(step: StepState, samples: readonly Sample[]): Html {
  const { undo } = step;
  const gate = gateResultIn(step.error?.details ?? step.output);
  const details: readonly (readonly [string, Json | undefined])[] = [
    ["Input", step.input],
    ["Seen before", step.before?.value],
    ["Output", step.output],
  ];
  return html`<h2>${step.id}</h2>
${step.why === undefined ? "" : html`<p class="dim">${step.why}</p>`}
${step.changes.length === 0 ? "" : html`<ul>${step.changes.map((each) => html`<li><code>${each.target}</code> ${each.summary}</li>`)}</ul>`}
${(step.restorePoints ?? []).map((each) => html`<p>${shownRestorePoint(each)}</p>`)}
${step.error === undefined ? "" : errorBlock(step.error)}
${gate === undefined ? "" : html`<pre>${renderEvidence(gate)}</pre>`}
${undo?.status === "ended" ? html`<p class="warned">${undoWord(undo)}${undo.note === undefined ? "" : `: ${undo.note}`}</p>` : ""}
${undo?.status === "failed" ? errorBlock(undo.error) : ""}
${lineCharts(samples)}
${details.flatMap(([name, value]) => (value == null ? [] : [html`<details><summary>${name}</summary>${json(value)}</details>`]))}`;
}

function undoWord(undo: NonNullable<StepState["undo"]>): string {
  if (undo.status === "running") return "being taken back";
  if (undo.status === "failed") return "could not be taken back";
  return undo.undone === true ? "taken back" : undo.undone === "kept" ? "kept" : "no way back";
}

function errorBlock({ message, code, cause, hint }: ErrorRecord): Html {
  return html`<div class="error"><b>${message}</b> <span class="dim">${code}</span>${cause === undefined || message.includes(cause) ? "" : html`<br>because: ${cause}`}${hint === undefined ? "" : html`<br>→ ${hint}`}</div>`;
}

const json = (value: Json) => html`<pre>${JSON.stringify(value, null, 2)}</pre>`;

/** The clock may have been set back in between. */
function between(from: string, to: string): string {
  return formatDuration(Math.max(0, Date.parse(to) - Date.parse(from)));
}
