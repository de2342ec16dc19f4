import { isRecord } from "./statements.ts";

/** The options of a parse node, as `(FULL, ANALYZE off)`, and whether each is on: without a value it is. */
export function optionsOf(list: unknown): ReadonlyMap<string, boolean> {
  const options: readonly unknown[] = Array.isArray(list) ? list : [];
  return new Map(
    options.flatMap((each) =>
      isRecord(each) && isRecord(each.DefElem)
        ? [[String(each.DefElem.defname), isOn(each.DefElem.arg)] as const]
        : [],
    ),
  );
}

function isOn(value: unknown): boolean {
  if (!isRecord(value)) return true;
  if (isRecord(value.Integer)) return (value.Integer.ival ?? 0) !== 0;
  return !(isRecord(value.String) && /^(?:false|off)$/i.test(String(value.String.sval)));
}
