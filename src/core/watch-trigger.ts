import { UsageError } from "./errors.ts";

/** A trigger as it is written in YAML; each part is checked where it is read. */
export interface WrittenTrigger {
  readonly check: string;
  readonly fail?: string;
  readonly "failures-in-a-row"?: number;
  readonly for?: string;
}

const form =
  /^\s*(?<check>[A-Za-z0-9][\w.-]*)\s*(?<limit>(?:>=|<=|==|!=|>|<)\s*\S+)?(?:\s+for\s+(?<time>\S+)|\s+(?<count>\d+)\s+(?:times|in a row))?\s*$/;

/** `health 4 in a row`, `errors > 5% for 2m`, `errors > 5%`. Throws `E_WATCH_TRIGGER`. */
export function writtenTrigger(text: string): WrittenTrigger {
  const parts = form.exec(text)?.groups;
  if (parts === undefined) {
    throw new UsageError("E_WATCH_TRIGGER", `"${text}" is not a trigger`, {
      hint: 'write a check of the gate, then perhaps a limit and how long: "health 3 in a row", "errors > 5% for 2m"',
    });
  }
  const { check = "", limit, time, count } = parts;
  return {
    check,
    ...(limit === undefined ? {} : { fail: limit }),
    ...(count === undefined ? {} : { "failures-in-a-row": Number(count) }),
    ...(time === undefined ? {} : { for: time }),
  };
}
