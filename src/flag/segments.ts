import { z } from "zod";
import { OpsError, UsageError } from "../core/errors.ts";
import { name } from "../core/schema.ts";
import { suggestion } from "../core/suggestion.ts";
import { visibleLine } from "../core/visible.ts";
import { isRecord, type Rule, sameJson } from "../flag-source/definition.ts";
import { type FlagSet, withEvaluator } from "../flag-source/flag-set.ts";
import { prepared } from "../flag-source/prepared.ts";
import { isPrerequisiteName } from "../flag-source/prerequisites.ts";
import { usersOf } from "../flag-source/segment-users.ts";
import { defineOperation, type Operation, type UndoResult } from "../run/operation.ts";
import { changeNote, reason, source, withFlagSource } from "./source.ts";

const segmentName = name("The segment");
const shownSegment = z.object({
  segment: z.string().describe("The segment"),
  rule: z.json().nullable().describe("Whom it means, in JsonLogic"),
  flags: z.array(z.string()).describe("The flags that use it"),
});

export const listSegments = defineOperation({
  name: "flag.segment.list",
  summary: "List the segments: shared rules that flags use by name",
  example: "flag segment list",
  effect: "read",
  input: z.strictObject({ source }),
  output: z.object({ segments: z.array(shownSegment) }),
  observe: async () => null,
  plan: () => [],
  apply: async (context, input) => {
    const set = await withFlagSource(context, input.source, (opened) => opened.read());
    const names = [...set.evaluators.keys()].filter((each) => !isPrerequisiteName(each));
    return { segments: names.map((each) => shownIn(set, each)) };
  },
  render: ({ segments }) =>
    segments.length === 0
      ? "there are no segments"
      : segments
          .map(
            ({ segment, rule, flags }) =>
              `${visibleLine(segment)}  ${JSON.stringify(rule)}${flags.length === 0 ? "" : `  (${flags.join(", ")})`}`,
          )
          .join("\n"),
});

export const setSegment = segmentChange({
  verb: "set",
  summary: "Make or change a segment; every flag that uses it changes with it",
  example: `flag segment set beta --rule '{"ends_with": [{"var": "email"}, "@example.com"]}'`,
  extra: { rule: z.string().describe("Whom it means: a condition in JsonLogic") },
  wanted: (input) => {
    let value: unknown;
    try {
      value = JSON.parse(input.rule ?? "");
    } catch (error) {
      throw new UsageError("E_INPUT", "rule is no JSON", {
        cause: error,
        hint: `write a condition of JsonLogic: '{"==": [{"var": "country"}, "DE"]}'`,
      });
    }
    if (isRecord(value as Rule)) return value as Rule;
    throw new UsageError("E_INPUT", "rule is no condition: JsonLogic is an object", {
      hint: `write a condition of JsonLogic: '{"==": [{"var": "country"}, "DE"]}'`,
    });
  },
});

export const removeSegment = segmentChange({
  verb: "remove",
  summary: "Take a segment away that no flag uses",
  example: "flag segment remove beta",
  extra: {},
  wanted: () => null,
});

type Before = { rule: Rule | null };
type Input = {
  segment: string;
  rule?: string | undefined;
  source?: string | undefined;
  reason?: string | undefined;
};

function segmentChange(definition: {
  verb: "set" | "remove";
  summary: string;
  example: string;
  extra: z.ZodRawShape;
  /** The rule it should have; null: none. */
  wanted(input: Input): Rule | null;
}): Operation {
  const input = z.strictObject({
    segment: segmentName,
    ...definition.extra,
    source,
    reason,
  }) as unknown as z.ZodObject;
  const operation = `flag.segment.${definition.verb}` as const;
  return defineOperation({
    name: operation,
    summary: definition.summary,
    example: definition.example,
    effect: "change",
    input,
    positional: ["segment"],
    output: shownSegment,
    targets: (given) => [`flag:${(given as Input).segment}`],
    observe: async (context, given): Promise<Before> => {
      const typed = given as Input;
      const set = await withFlagSource(context, typed.source, (opened) => opened.read());
      const rule = set.evaluators.get(typed.segment) ?? null;
      const wanted = definition.wanted(typed);
      if (rule === null && wanted === null) {
        throw new UsageError("E_FLAG_UNKNOWN", `There is no segment "${typed.segment}"`, {
          hint: suggestion(typed.segment, set.evaluators.keys()),
        });
      }
      prepared(set, (now) => withEvaluator(now, typed.segment, wanted), typed);
      return { rule };
    },
    plan: ({ rule }, given) => {
      const typed = given as Input;
      const wanted = definition.wanted(typed);
      if (sameJson(rule, wanted)) return [];
      const target = `flag:${typed.segment}`;
      const summary = `${definition.verb} segment ${typed.segment}`;
      if (wanted === null) return [{ target, action: "delete", summary, from: rule }];
      if (rule === null) return [{ target, action: "create", summary, to: wanted }];
      return [{ target, action: "update", summary, from: rule, to: wanted }];
    },
    apply: (context, given, { rule }) => {
      const typed = given as Input;
      const wanted = definition.wanted(typed);
      return withFlagSource(context, typed.source, async (opened) => {
        const set = await opened.update(changeNote(context, operation, typed.reason), (now) => {
          const present = now.evaluators.get(typed.segment) ?? null;
          if (sameJson(present, wanted)) return now;
          if (sameJson(present, rule)) return withEvaluator(now, typed.segment, wanted);
          throw new OpsError(
            "E_FLAG_CHANGED",
            `Segment ${typed.segment} was changed since it was looked at`,
            {
              hint: "nothing was written; look at the new plan and run it again",
              retryable: false,
            },
          );
        });
        return shownIn(set, typed.segment);
      });
    },
    undo: (context, given, { rule }) => {
      const typed = given as Input;
      const wanted = definition.wanted(typed);
      return withFlagSource(context, typed.source, async (opened): Promise<UndoResult> => {
        const present = (await opened.read()).evaluators.get(typed.segment) ?? null;
        if (sameJson(present, rule)) return { undone: true };
        let isOurs = false;
        const why = typed.reason ?? "the change is taken back";
        await opened.update(changeNote(context, `${operation} undone`, why), (now) => {
          isOurs = sameJson(now.evaluators.get(typed.segment) ?? null, wanted);
          return isOurs ? withEvaluator(now, typed.segment, rule) : now;
        });
        if (isOurs) return { undone: true };
        return {
          undone: false,
          note: `segment ${typed.segment} was changed by somebody else in the meantime and is left as it is`,
        };
      });
    },
    render: (output) => {
      const { segment, rule, flags } = output as z.output<typeof shownSegment>;
      const used = flags.length === 0 ? "no flag uses it" : `used by ${flags.join(", ")}`;
      return rule === null ? `segment ${segment} is gone` : `segment ${segment} is set (${used})`;
    },
  });
}

function shownIn(set: FlagSet, segment: string): z.output<typeof shownSegment> {
  const flags = [...usersOf(set, [segment]).flags];
  const rule = set.evaluators.get(segment) ?? null;
  return { segment, rule: rule as z.output<typeof shownSegment>["rule"], flags };
}
