import { defineFlagChange, existing } from "./change.ts";
import { changedInside } from "./set.ts";

export const enable = defineFlagChange({
  name: "flag.enable",
  summary: "Let a flag that was disabled count again",
  example: "flag enable new-checkout",
  verb: "enable flag",
  input: {},
  edit: (before) => changedInside(existing(before), (inside) => ({ ...inside, state: "ENABLED" })),
});

export const disable = defineFlagChange({
  name: "flag.disable",
  summary: "Give everybody the default in the application's code; to turn it off for sure, kill it",
  example: "flag disable new-checkout",
  verb: "disable flag",
  input: {},
  edit: (before) => ({ ...existing(before), state: "DISABLED" }),
});
