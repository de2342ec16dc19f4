/** One metric with its samples; a gauge. Times and durations in seconds, sizes in bytes, as is the custom there. */
export interface Metric {
  readonly name: string;
  readonly help: string;
  readonly samples: readonly { readonly labels: Readonly<Record<string, string>>; readonly value: number }[];
}

/** The text format 0.0.4 that node_exporter's textfile collector reads; what has no samples is left out. */
export function metricsText(metrics: readonly Metric[]): string {
  return metrics
    .filter(({ samples }) => samples.length > 0)
    .map(metricText)
    .join("");
}

function metricText({ name, help, samples }: Metric): string {
  const lines = samples.map(({ labels, value }) => {
    const shown = Object.entries(labels).map(([key, text]) => `${key}="${escaped(text)}"`);
    const number = value === Number.POSITIVE_INFINITY ? "+Inf" : value;
    return `${name}{${shown.join(",")}} ${number}\n`;
  });
  return `# HELP ${name} ${help}\n# TYPE ${name} gauge\n${lines.join("")}`;
}

function escaped(text: string): string {
  return text.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n");
}
