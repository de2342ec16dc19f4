import { shownOverride } from "../../run/gate-override.ts";
import { type GateResult, shownReason } from "../../run/gate-verdict.ts";
import type { CheckResult } from "../../run/measure-check.ts";

/**
 * A gate as a JUnit test suite, one test case for each check: failed is a failure, unknown an error where it stops the gate
 * and else skipped; what warns or is overridden passes and says so in its output.
 */
export function junitReport(result: GateResult): string {
  const { checks } = result;
  const outcomes = checks.map(outcomeOf);
  const count = (wanted: Outcome) => String(outcomes.filter((each) => each === wanted).length);
  const totals = {
    tests: String(checks.length),
    failures: count("failure"),
    errors: count("error"),
    skipped: count("skipped"),
    time: seconds(result.durationMs),
  };
  const suite = `gate ${result.gate}`;
  const { verdict, environment, configuration, actor, version, run } = result;
  const properties = Object.entries({ verdict, environment, configuration, actor, version, run }).flatMap(
    ([name, value]) => (value === undefined ? [] : [`      ${tag("property", { name, value })}`]),
  );
  return [
    '<?xml version="1.0" encoding="UTF-8"?>',
    open("testsuites", { name: suite, ...totals }),
    `  ${open("testsuite", { name: suite, ...totals, timestamp: result.startedAt.slice(0, 19), hostname: result.host })}`,
    "    <properties>",
    ...properties,
    "    </properties>",
    ...checks.map((each) => testCase(result.gate, each)),
    "  </testsuite>",
    "</testsuites>",
  ].join("\n");
}

type Outcome = "passed" | "failure" | "error" | "skipped";

function outcomeOf({ status, counts }: CheckResult): Outcome {
  if (counts === "fail") return status === "unknown" ? "error" : "failure";
  return status === "unknown" ? "skipped" : "passed";
}

function testCase(gate: string, check: CheckResult): string {
  const outcome = outcomeOf(check);
  const message = shownReason(check);
  const said = element("system-out", {}, details(check));
  const found = {
    passed: [],
    failure: [element("failure", { message, type: check.status }, details(check))],
    error: [element("error", { message, type: check.status }, details(check))],
    skipped: [tag("skipped", { message })],
  }[outcome];
  const attributes = { name: check.id, classname: `gate.${gate}`, time: seconds(check.durationMs) };
  const lines = [...found, ...(outcome === "failure" || outcome === "error" ? [] : [said])];
  return [
    `    ${open("testcase", attributes)}`,
    ...lines.map((each) => `      ${each}`),
    "    </testcase>",
  ].join("\n");
}

/** All of it, as lines: what was found, whose word stands against it, why it matters, what was read. */
function details(check: CheckResult): string {
  const { status, override, why, remedy, limits, evidence, rawDigest, startedAt } = check;
  return [
    `${status}: ${shownReason(check)}`,
    ...(override === undefined ? [] : [shownOverride(override)]),
    ...(why === undefined ? [] : [`why: ${why}`]),
    ...(remedy === undefined ? [] : [`do: ${remedy}`]),
    ...Object.entries(limits).map(([name, text]) => `${name}: ${text}`),
    `measured: ${startedAt}`,
    ...(evidence === undefined ? [] : [`evidence: ${JSON.stringify(evidence)}`]),
    ...(rawDigest === undefined ? [] : [`read: ${rawDigest}`]),
  ].join("\n");
}

function open(name: string, attributes: Readonly<Record<string, string>>): string {
  return `<${name}${written(attributes)}>`;
}

function tag(name: string, attributes: Readonly<Record<string, string>>): string {
  return `<${name}${written(attributes)}/>`;
}

function element(name: string, attributes: Readonly<Record<string, string>>, text: string): string {
  return `${open(name, attributes)}${escapeXml(text)}</${name}>`;
}

function written(attributes: Readonly<Record<string, string>>): string {
  return Object.entries(attributes)
    .map(
      ([name, value]) => ` ${name}="${escapeXml(value).replaceAll("\n", "&#10;").replaceAll("\t", "&#9;")}"`,
    )
    .join("");
}

function seconds(ms: number): string {
  return (ms / 1000).toFixed(3);
}

/** Of XML 1.0's characters (production 2); what it cannot hold, escaped or not, becomes U+FFFD. */
const notXml = /[^\t\n\r\u0020-\uD7FF\uE000-\uFFFD\u{10000}-\u{10FFFF}]/gu;

function escapeXml(text: string): string {
  return text
    .toWellFormed()
    .replace(notXml, "\uFFFD")
    .replaceAll("&", "&amp;")
    .replaceAll("<", "&lt;")
    .replaceAll(">", "&gt;")
    .replaceAll('"', "&quot;")
    .replaceAll("\r", "&#13;");
}
