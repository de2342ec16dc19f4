import { z } from "zod";
import type { Labels } from "./outcome.ts";
import { askPrometheus, type PrometheusServer, refusal } from "./request.ts";

/** An alert as Prometheus itself has it; whether somebody silenced it, only Alertmanager knows. */
export interface Alert {
  /** With `alertname`. */
  readonly labels: Labels;
  readonly state: "firing" | "pending";
  /** ISO 8601: since when its expression holds. */
  readonly since: string;
}

/** The rules behind alerts: which can be asked for. */
export interface AlertRule {
  readonly name: string;
  readonly labels: Labels;
}

const labels = z.record(z.string(), z.string());
const alertsAnswer = z.object({
  status: z.literal("success"),
  data: z.object({
    alerts: z.array(z.object({ labels, state: z.enum(["firing", "pending"]), activeAt: z.string() })),
  }),
});
const rulesAnswer = z.object({
  status: z.literal("success"),
  data: z.object({
    groups: z.array(z.object({ rules: z.array(z.object({ name: z.string(), labels: labels.default({}) })) })),
  }),
});

/** Throws like `queryRange`. */
export async function activeAlerts(server: PrometheusServer, signal?: AbortSignal): Promise<Alert[]> {
  const answer = await askPrometheus(server, { path: "alerts", asked: "alerts" }, signal);
  const found = alertsAnswer.safeParse(answer.json);
  if (!found.success) throw refusal(answer);
  return found.data.data.alerts.map(({ labels, state, activeAt }) => ({ labels, state, since: activeAt }));
}

/** Throws like `queryRange`. */
export async function alertRules(server: PrometheusServer, signal?: AbortSignal): Promise<AlertRule[]> {
  const answer = await askPrometheus(server, { path: "rules?type=alert", asked: "rules" }, signal);
  const found = rulesAnswer.safeParse(answer.json);
  if (!found.success) throw refusal(answer);
  return found.data.data.groups.flatMap(({ rules }) => rules);
}
