import type { ReportFile } from "./report-file.ts";
import { broken, countOf, elements, readXml, type XmlElement } from "./xml.ts";

export type TestOutcome = "passed" | "failed" | "skipped";

export interface TestCase {
  /** `suite › class › name`, as far as they differ. */
  readonly title: string;
  readonly outcome: TestOutcome;
  /** `<property>` of the case and of the suites around it. */
  readonly properties: Readonly<Record<string, string>>;
}

export interface JunitReport {
  readonly cases: readonly TestCase[];
  /** Failures and errors that a suite counts but does not list: what ended before its first test. */
  readonly unlisted: number;
  /** The latest time that a suite names with its zone, milliseconds since 1970. */
  readonly at: number | undefined;
}

/**
 * JUnit's XML as test runners write it: `testsuites` or `testsuite` at the root, suites in suites. A case that failed
 * first and passed when it was run again (`flakyFailure`) passed. Throws `E_REPORT_BROKEN`.
 */
export async function readJunit(file: ReportFile): Promise<JunitReport> {
  const root = await readXml(file);
  if (root.name !== "testsuites" && root.name !== "testsuite") {
    throw broken(file, `its root is <${root.name}>, not <testsuites> or <testsuite>`);
  }
  const cases = casesOf(root, [], {});
  const suites = [root, ...elements(root, "testsuite")];
  const top = root.name === "testsuite" ? [root] : root.children.filter((each) => each.name === "testsuite");
  const unlisted = Math.max(
    missing(root),
    top.reduce((sum, each) => sum + missing(each), 0),
  );
  const times = suites.flatMap((each) => {
    const text = each.attributes.timestamp ?? "";
    // Without a zone it is the local time of some machine.
    return /T.*(Z|[+-]\d\d:?\d\d)$/.test(text) && !Number.isNaN(Date.parse(text)) ? [Date.parse(text)] : [];
  });
  return { cases, unlisted, at: times.length === 0 ? undefined : times.reduce((a, b) => Math.max(a, b)) };
}

function casesOf(
  element: XmlElement,
  above: readonly string[],
  inherited: Readonly<Record<string, string>>,
): TestCase[] {
  const { name = "" } = element.attributes;
  const path = element.name === "testsuite" && name !== "" ? [...above, name] : above;
  const properties = { ...inherited, ...propertiesOf(element) };
  return element.children.flatMap((child) => {
    if (child.name === "testsuite") return casesOf(child, path, properties);
    if (child.name !== "testcase") return [];
    const { classname = "", name: own = "" } = child.attributes;
    const title = [...new Set([...path, classname, own].filter((each) => each !== ""))].join(" › ");
    return [{ title, outcome: outcomeOf(child), properties: { ...properties, ...propertiesOf(child) } }];
  });
}

function outcomeOf(testcase: XmlElement): TestOutcome {
  const has = (...names: string[]) => testcase.children.some((each) => names.includes(each.name));
  if (has("failure", "error")) return "failed";
  const said = (testcase.attributes.status ?? testcase.attributes.result ?? "").toLowerCase();
  if (has("skipped") || ["skipped", "disabled", "notrun", "suppressed"].includes(said)) return "skipped";
  return ["failed", "failure", "error"].includes(said) ? "failed" : "passed";
}

function propertiesOf(element: XmlElement): Record<string, string> {
  const all = element.children
    .filter((each) => each.name === "properties")
    .flatMap((each) => each.children.filter((child) => child.name === "property"));
  return Object.fromEntries(all.map(({ attributes }) => [attributes.name ?? "", attributes.value ?? ""]));
}

/** Failures that the element counts beyond those that are listed in it. */
function missing(element: XmlElement): number {
  const counted = (countOf(element, "failures") ?? 0) + (countOf(element, "errors") ?? 0);
  const listed = elements(element, "testcase").filter((each) => outcomeOf(each) === "failed").length;
  return Math.max(0, counted - listed);
}
