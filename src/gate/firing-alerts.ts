import { counted } from "../core/counted.ts";
import { OpsError } from "../core/errors.ts";
import { type AlertRule, activeAlerts, alertRules } from "../prometheus/alerts.ts";
import type { Labels } from "../prometheus/outcome.ts";
import type { PrometheusServer } from "../prometheus/request.ts";
import type { Measurement } from "../run/check.ts";

/** Label: its value, or several of which it has one. */
export type WantedLabels = Readonly<Record<string, string | readonly string[]>>;

type ShownAlert = { name: string; labels: { [label: string]: string }; since: string };
export type AlertEvidence = { firing: ShownAlert[]; pending: ShownAlert[]; rules: number };

/**
 * The alerts with these labels that fire now. Throws `E_PROMETHEUS_SERIES` where no rule could ever make such an alert:
 * then that none fires says nothing.
 *
 * @param except names of alerts that do not count, as one that always fires
 */
export async function firingAlerts(
  server: PrometheusServer,
  wanted: WantedLabels,
  except: readonly string[],
  signal: AbortSignal,
): Promise<Measurement> {
  const [alerts, rules] = await Promise.all([activeAlerts(server, signal), alertRules(server, signal)]);
  const able = rules.filter((each) => couldHave(each, wanted) && !except.includes(each.name));
  const counting = alerts.filter(
    ({ labels }) => has(labels, wanted) && !except.includes(labels.alertname ?? ""),
  );
  if (able.length === 0 && counting.length === 0) {
    throw new OpsError(
      "E_PROMETHEUS_SERIES",
      rules.length === 0
        ? "This Prometheus has no alerting rules"
        : `None of ${counted(rules.length, "alerting rule")} has ${describe(wanted)}`,
      { hint: "correct the labels of the check, or the rules", retryable: false },
    );
  }
  const shown = (state: "firing" | "pending") =>
    counting
      .filter((each) => each.state === state)
      .map(({ labels: { alertname = "", ...labels }, since }) => ({ name: alertname, labels, since }))
      .slice(0, 100);
  const evidence: AlertEvidence = { firing: shown("firing"), pending: shown("pending"), rules: able.length };
  const firing = counting.filter((each) => each.state === "firing").length;
  return { value: firing, shown: sentence(firing, evidence), evidence };
}

/** A label that the rule does not set may come from the series. */
function couldHave({ name, labels }: AlertRule, wanted: WantedLabels): boolean {
  const own: Labels = { ...labels, alertname: name };
  return Object.keys(wanted).every((label) => {
    const value = own[label];
    // Filled in when it fires.
    return value === undefined || value.includes("{{") || has(own, { [label]: wanted[label] ?? "" });
  });
}

function has(labels: Labels, wanted: WantedLabels): boolean {
  return Object.entries(wanted).every(([label, values]) => [values].flat().includes(labels[label] ?? ""));
}

function describe(wanted: WantedLabels): string {
  return Object.entries(wanted)
    .map(([label, values]) => `${label} ${[values].flat().join(" or ")}`)
    .join(", ");
}

function sentence(firing: number, { firing: shown, pending, rules }: AlertEvidence): string {
  if (firing === 0) {
    const waiting = pending.length === 0 ? "" : `, ${pending.map((each) => each.name).join(", ")} pending`;
    return `none of ${counted(rules, "alert")} fires${waiting}`;
  }
  const [first] = shown;
  const more = firing > 1 ? ` and ${firing - 1} more` : "";
  return `${counted(firing, "alert")} ${firing === 1 ? "fires" : "fire"}: ${first?.name} since ${first?.since.slice(0, 19)}Z${more}`;
}
