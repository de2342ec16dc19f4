import { OpsError } from "../core/errors.ts";
import type { ReportFile } from "./report-file.ts";

/** An element of an XML document. */
export interface XmlElement {
  readonly name: string;
  readonly attributes: Readonly<Record<string, string>>;
  readonly children: readonly XmlElement[];
  /** Its own, without spaces at both ends; what is longer than a path can be is cut. */
  readonly text: string;
}

type Open = { name: string; attributes: Record<string, string>; children: Open[]; text: string };

const longestText = 4096;
/** Reports of tests are shallow; what is deeper was made to hurt. */
const deepest = 200;

/**
 * The root element of a whole, well-formed document. Entities of a DTD are not known, let alone fetched: a document that
 * uses one is refused. Throws `E_REPORT_BROKEN` with line and column.
 */
export async function readXml(file: ReportFile): Promise<XmlElement> {
  // As its default: of a CommonJS package the bundle gives no names.
  const {
    default: { SaxesParser },
  } = await import("saxes");
  const parser = new SaxesParser({ position: true, xmlns: false as const });
  let root: Open | undefined;
  const path: Open[] = [];
  parser.on("error", (error) => {
    throw broken(file, error.message);
  });
  parser.on("opentag", ({ name, attributes }) => {
    const element: Open = { name: name.replace(/^.*:/, ""), attributes, children: [], text: "" };
    if (path.length === deepest) throw broken(file, `its elements are nested deeper than ${deepest}`);
    path.at(-1)?.children.push(element);
    root ??= element;
    path.push(element);
  });
  parser.on("text", (text) => {
    const element = path.at(-1);
    if (element !== undefined) element.text = (element.text + text).trim().slice(0, longestText);
  });
  parser.on("closetag", () => void path.pop());
  if (file.text.trim() === "") throw broken(file, "it is empty");
  parser.write(file.text).close();
  if (root === undefined) throw broken(file, "it has no element");
  return root;
}

/** Every element of this name below, however deep. */
export function elements(root: XmlElement, name: string): XmlElement[] {
  return root.children.flatMap((each) => [...(each.name === name ? [each] : []), ...elements(each, name)]);
}

/** A count that an attribute says; undefined where it says none. */
export function countOf(element: XmlElement, attribute: string): number | undefined {
  const text = element.attributes[attribute]?.trim();
  return text !== undefined && /^\d+$/.test(text) ? Number(text) : undefined;
}

export function broken(file: Pick<ReportFile, "shown">, why: string): OpsError {
  return new OpsError("E_REPORT_BROKEN", `${file.shown} cannot be read: ${why}`, { retryable: false });
}
