import { z } from "zod";
import { UsageError } from "../core/errors.ts";
import { name } from "../core/schema.ts";
import { type FlagDefinition, offVariant, onVariant } from "../flag-source/definition.ts";
import { defineFlagChange, existing } from "./change.ts";
import { type Audience, type Listed, layersOf, withLayers } from "./layers.ts";
import { changedInside } from "./set.ts";

const attribute = z
  .string()
  .regex(/^[A-Za-z_][A-Za-z0-9_.-]*$/, "must be the name of an attribute: customer, account.id")
  .describe("The attribute of the context that is compared; default: targetingKey, the user")
  .default("targetingKey");

const input = {
  customers: z
    .array(z.string().min(1, "must not be empty"))
    .describe("Who: values of the attribute, as they are in the context")
    .optional(),
  by: attribute,
  segment: name("All of a segment, instead of single ones").optional(),
  remove: z.boolean().describe("Take them off the list again").default(false),
};

type Input = z.output<z.ZodObject<typeof input>> & { readonly flag: string };

export const allow = defineFlagChange({
  name: "flag.allow",
  summary: "Always give a flag to some customers, whatever its rollout is",
  example: "flag allow new-checkout acme globex --by customer",
  verb: "change who always has flag",
  positional: ["customers"],
  input: {
    ...input,
    variant: z.string().describe("Which variant they get; default: the one that is true").optional(),
  },
  edit: (before, typed) =>
    changedInside(existing(before), (inside) => {
      const variant = typed.variant ?? onVariant(inside);
      if (variant !== undefined) return withList(inside, typed, "allow", variant);
      throw new UsageError(
        "E_FLAG_TARGETING",
        `Flag ${typed.flag} has several variants: which one for them?`,
        {
          hint: `add --variant, one of: ${Object.keys(inside.variants).join(", ")}`,
        },
      );
    }),
});

export const deny = defineFlagChange({
  name: "flag.deny",
  summary: "Never give a flag to some customers, whatever its rules are",
  example: "flag deny new-checkout initech --by customer",
  verb: "change who never has flag",
  positional: ["customers"],
  input,
  edit: (before, typed) =>
    changedInside(existing(before), (inside) => {
      const variant = offVariant(inside);
      if (variant !== undefined) return withList(inside, typed, "deny", variant);
      throw new UsageError("E_FLAG_NO_OFF", `No variant of flag ${typed.flag} stands for off`, {
        hint: `name one: ops flag set ${typed.flag} --off-variant VARIANT`,
      });
    }),
});

/** Puts them on one list and takes them off the other one, or only takes them off. */
function withList(
  definition: FlagDefinition,
  { flag, customers = [], by, segment, remove }: Input,
  list: "allow" | "deny",
  variant: string,
): FlagDefinition {
  if ((customers.length === 0) === (segment === undefined)) {
    throw new UsageError("E_INPUT", `Who is meant for flag ${flag}?`, {
      hint: "give customers, or --segment NAME, and not both",
    });
  }
  const audience: Audience = segment === undefined ? { attribute: by, values: customers } : { segment };
  const layers = layersOf(definition);
  const other = list === "allow" ? "deny" : "allow";
  return withLayers(definition, {
    ...layers,
    [list]: remove
      ? without(layers[list], audience)
      : merged(without(layers[list], audience), { audience, variant }),
    [other]: remove ? layers[other] : without(layers[other], audience),
  });
}

function without(lists: readonly Listed[], gone: Audience): Listed[] {
  return lists.flatMap((each) => {
    const { audience } = each;
    if ("segment" in audience || "segment" in gone) {
      const same = "segment" in audience && "segment" in gone && audience.segment === gone.segment;
      return same ? [] : [each];
    }
    if (audience.attribute !== gone.attribute) return [each];
    const values = audience.values.filter((value) => !gone.values.includes(value));
    return values.length === 0 ? [] : [{ ...each, audience: { ...audience, values } }];
  });
}

/** In the list of the same attribute and variant, where there is one. */
function merged(lists: readonly Listed[], added: Listed): Listed[] {
  const { audience, variant } = added;
  if ("segment" in audience) return [...lists, added];
  let isIn = false;
  const next = lists.map((each) => {
    if (isIn || "segment" in each.audience || each.audience.attribute !== audience.attribute) return each;
    if (each.variant !== variant) return each;
    isIn = true;
    return {
      ...each,
      audience: { ...audience, values: [...each.audience.values, ...new Set(audience.values)] },
    };
  });
  return isIn
    ? next
    : [...lists, { ...added, audience: { ...audience, values: [...new Set(audience.values)] } }];
}
