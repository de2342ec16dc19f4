import { UsageError } from "../core/errors.ts";
import { shownName, type TableName } from "./table-name.ts";

export function tableGone(table: TableName, moment: string): UsageError {
  return new UsageError("E_TABLE_UNKNOWN", `There is no table ${shownName(table)} now to compare with`, {
    hint: `take all of it back: ops pitr extract --table ${shownName(table)} --into ${shownName(table)} (as it was at ${moment})`,
  });
}

export function tableExists(table: TableName): UsageError {
  return new UsageError("E_TABLE_EXISTS", `There is a table ${shownName(table)} already`, {
    hint: "name one that does not exist: --into; to put missing rows back into the table itself: --missing",
  });
}
