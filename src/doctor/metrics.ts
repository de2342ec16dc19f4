import { constants } from "node:fs";
import { access } from "node:fs/promises";
import type { RouteTarget } from "../config/environment.ts";
import type { MetricsTarget } from "../config/metrics-target.ts";
import { counted } from "../core/counted.ts";
import { causeText } from "../core/errors.ts";
import { fetchJson } from "../json-http/document.ts";
import { readOnlyRows } from "../postgres/read-only-query.ts";
import { queryValue } from "../prometheus/client.ts";
import { type Finding, missing, missingBecause, ok, warn } from "./finding.ts";

/** Whether what counts a route's requests beside its balancer answers; nothing where the balancer counts. */
export async function metricsFindings(route: RouteTarget, signal: AbortSignal): Promise<Finding[]> {
  const { name, metrics } = route;
  if (metrics === undefined) return [];
  const subject = `metrics of route ${name}`;
  try {
    return [await finding(subject, metrics, signal)];
  } catch (error) {
    return [missingBecause(subject, error, `correct "metrics:" of "routes: ${name}:" in .opsrc`)];
  }
}

async function finding(subject: string, metrics: MetricsTarget, signal: AbortSignal): Promise<Finding> {
  switch (metrics.source) {
    case "prometheus": {
      const { url } = metrics.server;
      const outcome = await queryValue(metrics.server, "sum(up)", { signal });
      if (outcome.kind === "error") throw outcome.error;
      if (outcome.kind === "value" && outcome.value > 0) {
        return ok(subject, `Prometheus at ${url.shown} scrapes ${outcome.value} targets`);
      }
      return warn(subject, `Prometheus at ${url.shown} has no target that is up`, "see its page /targets");
    }
    case "json": {
      const [version] = metrics.versions;
      const values = { version: version?.version ?? "", name: version?.name ?? "" };
      const url = (await metrics.endpoint.url.reveal()).replace(/\{\{\s*(version|name)\s*\}\}/g, (_, what) =>
        encodeURIComponent(what === "version" ? values.version : values.name),
      );
      await fetchJson({ ...metrics.endpoint, url, signal });
      return ok(subject, `${metrics.endpoint.url.shown} answers with JSON`);
    }
    case "sql": {
      const { database, query: text, timeout } = metrics;
      const { rows } = await readOnlyRows(database, { text, timeout, applicationName: "ops doctor", signal });
      return ok(
        subject,
        `the query over database ${database.name} answers with ${counted(rows.length, "row")}`,
      );
    }
    case "log":
      return logFinding(subject, metrics.file);
  }
}

async function logFinding(subject: string, file: string): Promise<Finding> {
  try {
    await access(file, constants.R_OK);
    return ok(subject, `the log ${file} can be read`);
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") {
      return warn(subject, `the log ${file} is not there yet`, "start what writes it, or correct its path");
    }
    const mend = "run as a user who may read it (group adm on Debian)";
    return missing(subject, `the log ${file} cannot be read: ${causeText(error)}`, mend);
  }
}
