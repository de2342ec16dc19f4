import { OpsError } from "../core/errors.ts";

/** Whether the store refused to delete an object before its time. */
export function isLocked(error: unknown): boolean {
  return error instanceof OpsError && error.code === "E_OBJECT_LOCKED";
}
