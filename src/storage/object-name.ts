import { OpsError } from "../core/errors.ts";

/** What ends the name of an object that is half written. */
export const partialSuffix = ".partial";

/** Throws `E_OBJECT_NAME` for what could leave its store, hide in it or pass for a half-written object. */
export function checkObjectName(name: string): void {
  if (!isObjectName(name) || name.endsWith(partialSuffix)) {
    throw new OpsError("E_OBJECT_NAME", `"${name}" cannot be the name of an object`, { retryable: false });
  }
}

/** Parts of letters, digits, `_`, `.` and `-`, none of which begins with a dot. */
export function isObjectName(name: string): boolean {
  return /^[A-Za-z0-9][\w.-]*(\/[A-Za-z0-9][\w.-]*)*$/.test(name);
}
