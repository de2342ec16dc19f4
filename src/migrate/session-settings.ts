import { isRecord, nodeOf, type Statement } from "./statements.ts";

/**
 * Whether a statement does nothing but set something for its session, so that it can be run again in another one: SET,
 * or SELECT set_config(…, false).
 */
export function setsForSession(statement: Statement): boolean {
  if (statement.kind === "VariableSetStmt") return true;
  const { targetList, fromClause, whereClause } = nodeOf(statement);
  if (statement.kind !== "SelectStmt" || fromClause !== undefined || whereClause !== undefined) return false;
  const values = (Array.isArray(targetList) ? targetList : []).map((each: unknown) =>
    isRecord(each) && isRecord(each.ResTarget) ? each.ResTarget.val : undefined,
  );
  return values.some(setsConfig) && values.every((each) => callOf(each) !== undefined || isConstant(each));
}

/** Whether a statement sets something, anywhere in it, that stays set when its transaction has ended. */
export function leaksSettings(statement: Statement): boolean {
  if (statement.kind === "VariableSetStmt") return true;
  if (!/set_config/i.test(statement.text)) return false;
  // The body of a DO is text to the parser.
  return statement.kind === "DoStmt" || holdsCall(statement.node);
}

function holdsCall(value: unknown): boolean {
  if (Array.isArray(value)) return value.some(holdsCall);
  return isRecord(value) && (setsConfig(value) || Object.values(value).some(holdsCall));
}

function setsConfig(value: unknown): boolean {
  const call = callOf(value);
  return call !== undefined && !isTrue(Array.isArray(call.args) ? call.args[2] : undefined);
}

/** The inside of a call of set_config. */
function callOf(value: unknown): Readonly<Record<string, unknown>> | undefined {
  const call = isRecord(value) && isRecord(value.FuncCall) ? value.FuncCall : undefined;
  const last: unknown = Array.isArray(call?.funcname) ? call.funcname.at(-1) : undefined;
  return isRecord(last) && isRecord(last.String) && last.String.sval === "set_config" ? call : undefined;
}

function isConstant(value: unknown): boolean {
  return isRecord(value) && isRecord(value.A_Const);
}

/** The literals that PostgreSQL reads as true; everything else may be false. */
function isTrue(value: unknown): boolean {
  if (!isRecord(value)) return false;
  if (isRecord(value.TypeCast)) return isTrue(value.TypeCast.arg);
  if (!isRecord(value.A_Const)) return false;
  const { boolval, sval } = value.A_Const;
  if (isRecord(boolval)) return boolval.boolval === true;
  return isRecord(sval) && /^(?:t(?:rue)?|on|yes|1)$/i.test(String(sval.sval));
}
