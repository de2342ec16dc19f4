import { z } from "zod";
import { name } from "../core/schema.ts";
import { defineFlagChange, existing } from "./change.ts";
import { layersOf, withLayers } from "./layers.ts";
import { changedInside } from "./set.ts";

export const require = defineFlagChange({
  name: "flag.require",
  summary: "Give a flag only to those who have another one too",
  example: "flag require new-checkout new-accounts",
  verb: "change what is needed for flag",
  positional: ["needed"],
  input: {
    needed: name("The flag that is needed; it must be on for the same user"),
    remove: z.boolean().describe("It is no longer needed").default(false),
  },
  edit: (before, { needed, remove }) =>
    changedInside(existing(before), (inside) => {
      const layers = layersOf(inside);
      const others = layers.needs.filter((each) => each !== needed);
      return withLayers(inside, { ...layers, needs: remove ? others : [...others, needed] });
    }),
});
