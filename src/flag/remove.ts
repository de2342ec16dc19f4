import { defineFlagChange } from "./change.ts";

export const remove = defineFlagChange({
  name: "flag.remove",
  summary: "Delete a flag that no other flag needs; its code must be gone already",
  example: "flag remove new-checkout",
  verb: "delete flag",
  done: "is gone",
  // Restoring it first would turn it on once more.
  throughKill: true,
  throughMistakes: true,
  input: {},
  edit: () => null,
});
