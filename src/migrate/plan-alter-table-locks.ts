import { type ExpectedLock, foreignKeyLocks, list, lock } from "./plan-locked-relation.ts";
import { isRecord } from "./statements.ts";
import type { LockMode } from "./test/lock-mode.ts";

type Node = Readonly<Record<string, unknown>>;

/** What ALTER TABLE needs less than ACCESS EXCLUSIVE for (its page of the manual, under each form). */
const weaker: Readonly<Record<string, LockMode>> = {
  AT_SetStatistics: "SHARE UPDATE EXCLUSIVE",
  AT_SetOptions: "SHARE UPDATE EXCLUSIVE",
  AT_ResetOptions: "SHARE UPDATE EXCLUSIVE",
  AT_ValidateConstraint: "SHARE UPDATE EXCLUSIVE",
  AT_ClusterOn: "SHARE UPDATE EXCLUSIVE",
  AT_DropCluster: "SHARE UPDATE EXCLUSIVE",
  AT_AttachPartition: "SHARE UPDATE EXCLUSIVE",
  AT_EnableTrig: "SHARE ROW EXCLUSIVE",
  AT_EnableAlwaysTrig: "SHARE ROW EXCLUSIVE",
  AT_EnableReplicaTrig: "SHARE ROW EXCLUSIVE",
  AT_EnableTrigAll: "SHARE ROW EXCLUSIVE",
  AT_EnableTrigUser: "SHARE ROW EXCLUSIVE",
  AT_DisableTrig: "SHARE ROW EXCLUSIVE",
  AT_DisableTrigAll: "SHARE ROW EXCLUSIVE",
  AT_DisableTrigUser: "SHARE ROW EXCLUSIVE",
};

/** Storage parameters that are changed beside reads and writes; `user_catalog_table` and view options are not. */
const quietParameter =
  /^(?:fillfactor|toast_tuple_target|parallel_workers|(?:toast\.)?autovacuum_.*|vacuum_.*|log_autovacuum_.*)$/;

/** One statement takes the strongest lock that one of its commands needs, and the ones on other tables. */
export function alterTableLocks(node: Node): ExpectedLock[] {
  const commands = list(node.cmds).flatMap((each) =>
    isRecord(each) && isRecord(each.AlterTableCmd) ? [each.AlterTableCmd] : [],
  );
  return commands.flatMap((command) => [
    ...lock(node.relation, modeOf(command)),
    ...foreignKeyLocks(command.def),
    ...partitionLocks(command),
  ]);
}

function modeOf(command: Node): LockMode {
  const { subtype, def } = command;
  switch (subtype) {
    case "AT_AddConstraint": {
      const constraint = isRecord(def) && isRecord(def.Constraint) ? def.Constraint : {};
      return constraint.contype === "CONSTR_FOREIGN" ? "SHARE ROW EXCLUSIVE" : "ACCESS EXCLUSIVE";
    }
    case "AT_SetRelOptions":
    case "AT_ResetRelOptions":
      return parameters(def).every((each) => quietParameter.test(each))
        ? "SHARE UPDATE EXCLUSIVE"
        : "ACCESS EXCLUSIVE";
    case "AT_DetachPartition":
      return partition(command)?.concurrent === true ? "SHARE UPDATE EXCLUSIVE" : "ACCESS EXCLUSIVE";
    default:
      return weaker[String(subtype)] ?? "ACCESS EXCLUSIVE";
  }
}

function partitionLocks(command: Node): ExpectedLock[] {
  return command.subtype === "AT_AttachPartition" || command.subtype === "AT_DetachPartition"
    ? lock(partition(command)?.name, "ACCESS EXCLUSIVE")
    : [];
}

function partition({ def }: Node): Node | undefined {
  return isRecord(def) && isRecord(def.PartitionCmd) ? def.PartitionCmd : undefined;
}

function parameters(def: unknown): string[] {
  return list(isRecord(def) && isRecord(def.List) ? def.List.items : undefined).flatMap((each) => {
    if (!isRecord(each) || !isRecord(each.DefElem)) return [];
    const { defnamespace, defname } = each.DefElem;
    return [defnamespace === undefined ? String(defname) : `${String(defnamespace)}.${String(defname)}`];
  });
}
