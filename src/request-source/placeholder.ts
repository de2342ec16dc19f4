import type { NamedVersion } from "../config/metrics-target.ts";

/** A text with `{{version}}` and `{{name}}` filled in, each written as the text around it needs it. */
export function forVersion(
  text: string,
  { version, name }: NamedVersion,
  escaped: (value: string) => string,
): string {
  return text.replace(/\{\{\s*(version|name)\s*\}\}/g, (_, what) =>
    escaped(what === "version" ? version : name),
  );
}
