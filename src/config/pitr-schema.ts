import { z } from "zod";
import { name, writtenDuration } from "../core/schema.ts";
import type { SchemaMistake } from "../core/schema-mistake.ts";
import { suggestion } from "../core/suggestion.ts";
import { pgBackRestFields, pgBackRestKeys } from "./pgbackrest-target.ts";
import { isReference } from "./secret.ts";
import { secret } from "./secret-field.ts";

const isUrl = (text: string) => text === "" || isReference(text) || /^postgres(ql)?:\/\//.test(text);

/** Point-in-time recovery of the cluster that a database is in, as it is written in `.opsrc`. */
export const pitrSchema = z
  .strictObject({
    engine: z.enum(["ops", "pgbackrest"]).default("ops").describe("What makes base backups and archives WAL"),
    store: name("The store for base backups and WAL").optional(),
    stores: z
      .array(name("A store"))
      .min(1, "needs at least one store")
      .optional()
      .describe("Several stores: WAL counts as archived once it is in all of them"),
    compression: z
      .int("must be a whole number")
      .min(1, "must be 1 or more")
      .max(19, "must be at most 19")
      .default(3)
      .describe("zstd level of archived WAL"),
    window: writtenDuration(
      "How far back one must be able to go: ops pitr prune removes base backups and WAL that this does not need; default: nothing is removed",
    ).optional(),
    "restore-points": z
      .enum(["require", "never"])
      .default("require")
      .describe("Whether a restore point is made before migrations and before what destroys data"),
    standby: secret("Connection URL of a standby: base backups are read from it")
      .refine(
        isUrl,
        "must be a connection URL (postgresql://user@host:5432/database) or a reference (env:NAME)",
      )
      .optional(),
    slot: z
      .string()
      .regex(/^[a-z0-9_]{1,63}$/, "must be lower-case letters, digits and underscores, 63 at most")
      .optional()
      .describe("The replication slot of ops wal receive; default: ops_<database>"),
    ...pgBackRestFields,
  })
  .superRefine((pitr, context) => {
    const { engine, store, stores } = pitr;
    const others =
      engine === "ops" ? pgBackRestKeys : (["store", "stores", "slot", "standby", "window"] as const);
    for (const key of others) {
      if (pitr[key] === undefined) continue;
      const hint = `remove it, or write engine: ${engine === "ops" ? "pgbackrest" : "ops"}`;
      context.addIssue({
        code: "custom",
        path: [key],
        message: `is not for the engine ${engine}`,
        params: { hint },
      });
    }
    if (store !== undefined && stores !== undefined) {
      context.addIssue({
        code: "custom",
        path: ["store"],
        message: 'excludes "stores": which of them is meant?',
        params: { hint: `write stores: [${[...new Set([store, ...stores])].join(", ")}]` },
      });
    }
    const twice = stores?.find((each, index) => stores.indexOf(each) !== index);
    if (twice === undefined) return;
    context.addIssue({ code: "custom", path: ["stores"], message: `names the store "${twice}" twice` });
  });

export type PitrSettings = z.output<typeof pitrSchema>;

/** Names of stores that lead nowhere, in one joined environment. */
export function pitrMistakes(settings: {
  readonly databases: Readonly<Record<string, { readonly pitr?: PitrSettings | undefined }>>;
  readonly stores: Readonly<Record<string, unknown>>;
}): SchemaMistake[] {
  const known = Object.keys(settings.stores);
  const unknown = (path: (string | number)[], store: string | undefined): SchemaMistake[] =>
    store === undefined || known.includes(store)
      ? []
      : [
          {
            path,
            message: `there is no store "${store}"`,
            hint: known.length === 0 ? 'add it under "stores:"' : suggestion(store, known),
          },
        ];
  return Object.entries(settings.databases).flatMap(([database, { pitr }]) => {
    const path = ["databases", database, "pitr"];
    return [
      ...unknown([...path, "store"], pitr?.store),
      ...(pitr?.stores ?? []).flatMap((each, index) => unknown([...path, "stores", index], each)),
    ];
  });
}
