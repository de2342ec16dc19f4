import { hash } from "node:crypto";
import type { Json } from "./errors.ts";

/** JSON with sorted keys and no white space: equal values give equal text. */
export function canonicalJson(value: Json | undefined): string {
  if (value === undefined) return "null";
  if (value === null || typeof value !== "object") return JSON.stringify(value);
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(",")}]`;
  const entries = Object.entries(value)
    .filter(([, each]) => each !== undefined)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, each]) => `${JSON.stringify(key)}:${canonicalJson(each)}`);
  return `{${entries.join(",")}}`;
}

/** `sha256:` and 64 hexadecimal digits. */
export function digest(data: string | Uint8Array): string {
  return `sha256:${hash("sha256", data, "hex")}`;
}
