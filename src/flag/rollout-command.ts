import { z } from "zod";
import { defineFlagChange, existing } from "./change.ts";
import { withRollout } from "./rollout.ts";
import { changedInside, share } from "./set.ts";

export const rollout = defineFlagChange({
  name: "flag.rollout",
  summary: "Give a flag to a share of the users; a larger share keeps everybody who has it",
  example: "flag rollout new-checkout 10%",
  verb: "roll out flag",
  positional: ["share"],
  input: {
    share: share("The share of the users: 10%"),
    variant: z.string().describe("Which variant they get; default: the one that is true").optional(),
  },
  edit: (before, input, { now }) =>
    changedInside(existing(before), (inside) =>
      withRollout(input.flag, inside, { percent: input.share, variant: input.variant, now }),
    ),
});
