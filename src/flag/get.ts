import { z } from "zod";
import { visible } from "../core/visible.ts";
import { documentOf } from "../flag-source/flag-set.ts";
import { underWay, underWayLine, underWayOf } from "../rollout/under-way.ts";
import { defineOperation } from "../run/operation.ts";
import { evaluateFor, evaluationOutput, renderEvaluation } from "./evaluation.ts";
import { settledAt } from "./layers.ts";
import { RampFiles, type RampRecord } from "./ramp-record.ts";
import { describeKill, describeLayers, describeState, flagOutput, shown, whenOn } from "./shown.ts";
import { flagName, requireFlag, source, withFlagSource } from "./source.ts";

export const get = defineOperation({
  name: "flag.get",
  summary: "Show a flag, or whether one user has it",
  example: "flag get session-pooling --user 4711",
  effect: "read",
  input: z.strictObject({
    flag: flagName,
    source,
    user: z.string().min(1, "must not be empty").describe("Evaluate the flag for this user").optional(),
  }),
  positional: ["flag"],
  output: z.object({
    ...flagOutput,
    rules: z.array(z.string()).describe("Who gets what, for a person"),
    definition: z.json().describe("As flagd reads it"),
    updatedAt: z.string().nullable().describe("When it was last changed (ISO 8601, UTC)"),
    updatedBy: z.string().nullable().describe("Who changed it last"),
    ramp: underWay
      .omit({ version: true })
      .extend({ variant: z.string().describe("What it gives out") })
      .nullable()
      .describe(
        "The ramp that is under way, as far as this machine knows; rules and rollout are where it is",
      ),
    killed: z.string().optional().describe("When, by whom and why it was killed"),
    user: z.string().describe("The user asked for").optional(),
    evaluation: evaluationOutput.optional(),
  }),
  // What it shows is read when it runs, not when a plan is made: an earlier step may make the flag.
  observe: async () => null,
  plan: () => [],
  apply: async (context, input) => {
    const set = await withFlagSource(context, input.source, (opened) => opened.read());
    const now = context.clock.now();
    const definition = settledAt(requireFlag(set, input.flag), now);
    const stored = set.flags.get(input.flag);
    const killed = describeKill(definition);
    const { user } = input;
    const record = await new RampFiles(context, input.source, input.flag).read();
    return {
      ...shown(input.flag, definition, now),
      rules: [describeState(definition), ...describeLayers(settledAt(whenOn(definition), now))],
      definition: documentOf({ ...set, flags: new Map(stored === undefined ? [] : [[input.flag, stored]]) })
        .flags[input.flag] as z.output<ReturnType<typeof z.json>>,
      updatedAt: stored?.changedAt ?? null,
      updatedBy: stored?.changedBy ?? null,
      ramp: record === undefined ? null : rampOf(record),
      ...(killed !== undefined && { killed }),
      ...(user !== undefined && {
        user,
        evaluation: await evaluateFor(set, input.flag, { targetingKey: user }),
      }),
    };
  },
  render: (output) => {
    const { flag, rules, description, owner, expires, updatedAt, updatedBy, killed, ramp, evaluation } =
      output;
    const [state = "", ...rest] = rules;
    const about = [owner === null ? "" : `owner ${owner}`, expires === null ? "" : `expires ${expires}`];
    const lines = [
      `flag ${flag} is ${state}${description === null ? "" : `: ${description}`}`,
      ...(killed === undefined ? [] : [killed]),
      ...(ramp === null
        ? []
        : [
            `ramp of ${ramp.variant} by ${ramp.actor} since ${ramp.since}: ${underWayLine(ramp, "ops flag", flag)}`,
          ]),
      ...rest.map((each) => `  ${each}`),
      ...about.filter((each) => each !== ""),
      updatedAt === null ? "never changed by ops" : `last changed ${updatedAt} by ${updatedBy ?? "nobody"}`,
      ...(evaluation === undefined ? [] : [renderEvaluation(flag, evaluation)]),
    ];
    return visible(lines.join("\n"));
  },
});

function rampOf(record: RampRecord) {
  const { version: variant, ...rest } = underWayOf(record);
  return { variant, ...rest };
}
