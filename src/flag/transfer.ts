import { z } from "zod";
import { UsageError } from "../core/errors.ts";
import { name } from "../core/schema.ts";
import { visibleLine } from "../core/visible.ts";
import { documentOf } from "../flag-source/flag-set.ts";
import { unreadable } from "../flag-source/prepared.ts";
import { defineOperation } from "../run/operation.ts";
import {
  applyCopy,
  type CopyBefore,
  copied,
  copyPlan,
  differencesFrom,
  renderCopied,
  undoCopy,
} from "./copy.ts";
import { place, readPlace } from "./place.ts";
import { reason, source, withFlagSource } from "./source.ts";

const prune = z
  .boolean()
  .describe("Delete what is only in the target; without it nothing is deleted")
  .default(false);

const output = z.object({
  created: z.array(z.string()),
  changed: z.array(z.string()),
  deleted: z.array(z.string()),
});

/** A whole source is the target: the lock is on it, and on no single flag. */
const whole = (named: string | undefined): string[] => [`flag:${named ?? "all"}`];

export const importFlags = defineOperation({
  name: "flag.import",
  summary: "Put the flags of a file in flagd's format into a source",
  example: "flag import flags.json --source main",
  effect: "change",
  input: z.strictObject({ file: place("The file: JSON or YAML"), prune, source, reason }),
  positional: ["file"],
  output,
  targets: (input) => whole(input.source),
  observe: async (context, input): Promise<CopyBefore> => {
    const from = await readPlace(context, input.file, true);
    const to = await readPlace(context, input.source, false);
    return differencesFrom(from, to, input);
  },
  plan: copyPlan,
  apply: async (context, input, before) => {
    await applyCopy(context, input.source, "flag.import", input.reason, before);
    return copied(before);
  },
  undo: (context, input, before) => undoCopy(context, input.source, "flag.import", before),
  render: (result) => renderCopied(result, "flags"),
});

export const sync = defineOperation({
  name: "flag.sync",
  summary: "Make the flags of one source those of another",
  example: "flag sync git main --prune",
  effect: "change",
  input: z.strictObject({
    from: name("The source that is read"),
    to: name("The source that is changed"),
    prune,
    reason,
  }),
  positional: ["from", "to"],
  output,
  targets: (input) => whole(input.to),
  observe: async (context, input): Promise<CopyBefore> => {
    if (input.from === input.to) {
      throw new UsageError("E_INPUT", `${input.from} is both where from and where to`, {
        hint: "name two flag sources of .opsrc",
      });
    }
    const from = await readPlace(context, input.from, false);
    const to = await readPlace(context, input.to, false);
    return differencesFrom(from, to, input);
  },
  plan: copyPlan,
  apply: async (context, input, before) => {
    await applyCopy(context, input.to, "flag.sync", input.reason, before);
    return copied(before);
  },
  undo: (context, input, before) => undoCopy(context, input.to, "flag.sync", before),
  render: (result) => renderCopied(result, "flags"),
});

export const exportFlags = defineOperation({
  name: "flag.export",
  summary: "Print all flags as a document of flagd, in JSON",
  example: "flag export > flags.json",
  effect: "read",
  input: z.strictObject({ source }),
  output: z.looseObject({ flags: z.record(z.string(), z.json()) }),
  observe: async () => null,
  plan: () => [],
  apply: async (context, input) => {
    const set = await withFlagSource(context, input.source, (opened) => opened.read());
    for (const name of set.unreadable?.keys() ?? []) throw unreadable(name);
    const document = documentOf(set) as unknown as { flags: Record<string, never> };
    return { $schema: "https://flagd.dev/schema/v0/flags.json", ...document };
  },
  render: (document) => JSON.stringify(document, null, 2),
});

export const diff = defineOperation({
  name: "flag.diff",
  summary: "Show what is different between two sources, or a source and a file",
  example: "flag diff git --source main",
  effect: "read",
  input: z.strictObject({
    with: z
      .string()
      .min(1, "must not be empty")
      .describe("The name of the other source, or the path of a file"),
    source,
  }),
  positional: ["with"],
  output: z.object({
    differences: z.array(
      z.object({
        subject: z.enum(["flag", "segment", "metadata"]),
        name: z.string(),
        here: z.json().nullable(),
        there: z.json().nullable(),
      }),
    ),
  }),
  observe: async () => null,
  plan: () => [],
  apply: async (context, input) => {
    const { differences } = await import("../flag-source/differences.ts");
    const isFile = /[/\\]|\.(json|ya?ml)$/i.test(input.with);
    const here = await readPlace(context, input.source, false);
    const there = await readPlace(context, input.with, isFile);
    type Value = z.output<ReturnType<typeof z.json>> | null;
    return {
      differences: differences(here, there).map(({ subject, name, before, after }) => ({
        subject,
        name,
        here: before as Value,
        there: after as Value,
      })),
    };
  },
  render: ({ differences }) =>
    differences.length === 0
      ? "there is no difference"
      : differences
          .map(({ subject, name, here, there }) => {
            const [before, after] = [here, there].map((each) =>
              each === null ? undefined : visibleLine(JSON.stringify(each)),
            );
            return [
              visibleLine(`${subject} ${name}`),
              ...(before === undefined ? [] : [`  here   ${before}`]),
              ...(after === undefined ? [] : [`  there  ${after}`]),
            ].join("\n");
          })
          .join("\n"),
});
