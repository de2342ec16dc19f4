import { z } from "zod";
import { name } from "../core/schema.ts";
import { sealerFor } from "../crypto/encryption.ts";
import { openedBy } from "../crypto/sealer.ts";
import { defineOperation } from "../run/operation.ts";
import { readKeys, shortKey } from "./keys-store.ts";

const texts = z.array(z.string());

export const listKeys = defineOperation({
  name: "backup.keys.list",
  summary: "Show which keys open which backups of a store",
  example: "backup keys list --store local",
  effect: "read",
  input: z.strictObject({ store: name("The store").optional() }),
  output: z.object({
    store: z.string(),
    method: z.enum(["age", "aes-256-gcm"]).describe("How new backups are encrypted"),
    keys: z
      .array(
        z.object({
          key: z.string(),
          configured: z.boolean().describe("New backups are encrypted to it"),
          backups: z.number().describe("How many of the store's backups it opens"),
        }),
      )
      .describe("The configured ones first"),
    backups: z
      .array(
        z.object({
          id: z.string(),
          keys: texts.describe("Which keys open it"),
          missing: texts.describe("Configured, but do not open it"),
          former: texts.describe("Not configured any more, but open it"),
        }),
      )
      .describe("Newest first"),
    broken: texts.describe("Ids of backups whose manifest does not hold"),
  }),
  observe: async () => null,
  plan: () => [],

  async apply(context, input) {
    const target = context.environment.store(input.store);
    const now = (await sealerFor(target)).describe();
    const all = await readKeys(target, now);
    const whole = all.filter((each) => each.status === "complete");
    const configured = openedBy(now);
    const former = new Set(whole.flatMap((each) => each.former));
    return {
      store: target.name,
      method: now.method,
      keys: [...configured, ...former].map((key) => ({
        key,
        configured: configured.includes(key),
        backups: whole.filter((each) => each.keys.includes(key)).length,
      })),
      backups: whole.map(({ id, keys, missing, former: old }) => ({
        id,
        keys: [...keys],
        missing: [...missing],
        former: [...old],
      })),
      broken: all.filter((each) => each.status === "broken").map((each) => each.id),
    };
  },

  render({ store, method, keys, backups, broken }) {
    const others = backups.filter((each) => each.missing.length + each.former.length > 0);
    return [
      `Store ${store}: ${backups.length} backups, new ones by ${method}`,
      ...keys.map(
        (each) =>
          `  ${shortKey(each.key)}: opens ${each.backups} of ${backups.length}` +
          `${each.configured ? "" : " (not configured any more)"}`,
      ),
      ...others.map(
        ({ id, missing, former }) =>
          `  ! ${id}:${missing.length === 0 ? "" : ` not opened by ${missing.map(shortKey).join(", ")};`}` +
          `${former.length === 0 ? "" : ` still opened by ${former.map(shortKey).join(", ")};`}`,
      ),
      ...broken.map((id) => `  ! ${id} is broken: nobody can say what opens it`),
      ...(others.length === 0 ? [] : ["Encrypt them to the configured keys with: ops backup keys rotate"]),
    ].join("\n");
  },
});
