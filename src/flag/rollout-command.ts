import { z } from "zod";
import { defineFlagChange, existing } from "./change.ts";
import { withRollout } from "./rollout.ts";
import { insideOf, share } from "./set.ts";

export const rollout = defineFlagChange({
  name: "flag.rollout",
  summary: "Give a flag to a share of the users, and turn it on; a larger share keeps everybody who has it",
  example: "flag rollout new-checkout 10%",
  verb: "roll out flag",
  positional: ["share"],
  input: {
    share: share("The share of the users: 10%"),
    variant: z.string().describe("Which variant they get; default: the one that is true").optional(),
  },
  edit: (before, input, { now }) => ({
    ...withRollout(input.flag, insideOf(existing(before)), {
      percent: input.share,
      variant: input.variant,
      now,
    }),
    state: "ENABLED",
  }),
});
