import { JSONPathError, jsonpath } from "json-p3";
import { OpsError, UsageError } from "../core/errors.ts";

/** Throws `E_JSON_PATH` (usage) where a text is no JSONPath (RFC 9535). */
export function requireJsonPath(path: string): void {
  compiled(path);
}

/** Everything that a JSONPath finds in a document. Throws `E_JSON_PATH`. */
export function valuesAt(document: unknown, path: string): unknown[] {
  return compiled(path)
    .query(document as Parameters<typeof jsonpath.query>[1])
    .values();
}

/**
 * The number at a JSONPath; of several the sum, as a filter over a list of servers gives them. Throws `E_JSON_VALUE`
 * where there is none: what is not there is not zero.
 */
export function numberAt(document: unknown, path: string): number {
  const values = valuesAt(document, path);
  if (values.length === 0) throw noNumber(path, "finds nothing");
  let total = 0;
  for (const value of values) {
    const number = typeof value === "string" && value.trim() !== "" ? Number(value) : value;
    if (typeof number !== "number" || !Number.isFinite(number))
      throw noNumber(path, `finds ${JSON.stringify(value).slice(0, 60)}, which is no number`);
    total += number;
  }
  return total;
}

function compiled(path: string) {
  try {
    return jsonpath.compile(path);
  } catch (error) {
    if (!(error instanceof JSONPathError)) throw error;
    throw new UsageError("E_JSON_PATH", `"${path}" is no JSONPath: ${error.message}`, {
      hint: 'write it as "$.versions.green.requests" or "$.servers[?@.name==\'green\'].requests" (RFC 9535)',
    });
  }
}

function noNumber(path: string, what: string): OpsError {
  return new OpsError("E_JSON_VALUE", `${path} ${what}`, {
    hint: "see what the endpoint answers, and correct the path in .opsrc",
    retryable: false,
  });
}
