import type { NamedVersion } from "../config/metrics-target.ts";

/** A text with `{{version}}`, `{{name}}` and `{{flag}}` filled in, each written as the text around it needs it. */
export function forVersion(
  text: string,
  { version, name, flag = "" }: NamedVersion,
  escaped: (value: string) => string,
): string {
  return text.replace(/\{\{\s*(version|name|flag)\s*\}\}/g, (_, what) =>
    escaped(what === "version" ? version : what === "name" ? name : flag),
  );
}
