import { hostname } from "node:os";
import { z } from "zod";
import { formatDuration } from "../core/duration.ts";
import { UsageError } from "../core/errors.ts";
import { formatMoment } from "../core/moment.ts";
import { duration, name, words } from "../core/schema.ts";
import { configuredChecks } from "../run/configured-check.ts";
import type { OperationContext } from "../run/context.ts";
import { defineOperation } from "../run/operation.ts";
import { type Answer, AnswerBook } from "./answer-book.ts";
import { manualCheck } from "./kinds/manual-check.ts";
import { type Question, questionDigest } from "./question.ts";

const row = z.object({
  gate: z.string(),
  check: z.string(),
  question: z.string(),
  role: z.string(),
  answer: z.enum(["yes", "no"]),
  by: z.string().describe("The name that the person gave"),
  note: z.string(),
  actor: z.string().describe("As whom the command ran"),
  host: z.string(),
  answeredAt: z.string().describe("ISO 8601, UTC"),
  expiresAt: z.string().describe("ISO 8601, UTC"),
  withdrawnAt: z.string().nullable().describe("When its run was rolled back"),
  run: z.string(),
});

/** Guarantee: when it has ended, the answer is on disk; killed before, the question is as it was. */
export const answer = defineOperation({
  name: "gate.answer",
  summary: "Answer the question of a manual check, with a name, a note and an expiry",
  example: 'gate answer pre-deploy announced yes --by "Ada King" --note "mail of 9:00, change 4711"',
  effect: "change",
  input: z.strictObject({
    gate: name("The gate's name in .opsrc"),
    check: name("The manual check"),
    answer: z.enum(["yes", "no"]).describe("The answer"),
    by: words("Name of the person who answers", 100),
    note: words("What the answer rests on", 1000),
    for: duration("How long it counts; default: as long as the check lets it (valid-for)").optional(),
  }),
  positional: ["gate", "check", "answer"],
  output: row,
  targets: (input) => [`answer:${input.gate}/${input.check}`],

  async observe(context, input) {
    const question = await questionOf(context, input.gate, input.check);
    refuse(question, input);
    const [newest] = AnswerBook.read(context.stateDirectory, context.environment.name, input).filter(
      (each) => each.withdrawnAt === null,
    );
    return {
      question: question.question,
      role: question.role,
      digest: questionDigest(question),
      validFor: question["valid-for"],
      newest: newest === undefined ? null : { answer: newest.answer, by: newest.by },
    };
  },

  plan: ({ question, validFor, newest }, input) => [
    {
      target: `gate:${input.gate}`,
      action: newest === null ? "create" : "update",
      summary: `answer ${input.check} "${question}": ${input.answer}, by ${input.by}, for ${formatDuration(input.for ?? validFor)}`,
      ...(newest === null
        ? {}
        : { from: `${newest.answer}, by ${newest.by}`, to: `${input.answer}, by ${input.by}` }),
    },
  ],

  async apply(context, input, before) {
    const { gate, check, by, note } = input;
    const answeredAt = context.clock.now().getTime();
    const run = runOf(context, answeredAt);
    const given = {
      ...{ gate, check, by, note, answeredAt, run },
      question: before.question,
      role: before.role,
      digest: before.digest,
      answer: input.answer,
      actor: context.actor,
      host: hostname(),
      expiresAt: answeredAt + (input.for ?? before.validFor),
    };
    return AnswerBook.write(context.stateDirectory, context.environment.name, (book) => {
      book.add(given);
      // What an earlier attempt of this run wrote stands as it is.
      const written = book.answers({ gate, check }).find((each) => each.run === run);
      return shown(written ?? { ...given, withdrawnAt: null });
    });
  },

  async undo(context, input) {
    const now = context.clock.now().getTime();
    const run = runOf(context, now);
    AnswerBook.write(context.stateDirectory, context.environment.name, (book) =>
      book.withdraw(input.gate, input.check, run, now),
    );
    return { undone: true };
  },

  render: (each) =>
    `${each.by} says ${each.answer} to "${each.question}", until ${formatMoment(new Date(each.expiresAt))}: ${each.note}`,
});

export const answers = defineOperation({
  name: "gate.answers",
  summary: "The answers that people gave, with those that count no more",
  example: "gate answers pre-deploy",
  effect: "read",
  input: z.strictObject({ gate: name("Only this gate's").optional() }),
  positional: ["gate"],
  output: z.object({ answers: z.array(row) }),
  observe: async () => ({}),
  plan: () => [],
  apply: async ({ stateDirectory, environment }, input) => ({
    answers: AnswerBook.read(stateDirectory, environment.name, input).map(shown),
  }),
  render: (output) =>
    output.answers.length === 0 ? "Nobody has answered yet" : output.answers.map(line).join("\n"),
});

function line(each: z.output<typeof row>): string {
  const until =
    each.withdrawnAt === null
      ? `until ${formatMoment(new Date(each.expiresAt))}`
      : `withdrawn ${formatMoment(new Date(each.withdrawnAt))}`;
  const at = formatMoment(new Date(each.answeredAt));
  return `${at}  ${each.gate}/${each.check}  ${each.answer} by ${each.by} (${each.actor}), ${until}: ${each.note}`;
}

function shown({ answeredAt, expiresAt, withdrawnAt, digest: _, ...rest }: Answer): z.output<typeof row> {
  return {
    ...rest,
    answeredAt: new Date(answeredAt).toISOString(),
    expiresAt: new Date(expiresAt).toISOString(),
    withdrawnAt: withdrawnAt === null ? null : new Date(withdrawnAt).toISOString(),
  };
}

/** Outside a run each answer is one of its own. */
function runOf({ runId, actor }: OperationContext, now: number): string {
  return runId ?? `${actor}-${now}`;
}

/** Throws `E_GATE_ANSWER` (usage) where the check asks nobody. */
async function questionOf(context: OperationContext, gate: string, check: string): Promise<Question> {
  const configured = configuredChecks(gate, context.environment.gate(gate), await context.checks());
  const found = configured.find((each) => each.id === check);
  if (found?.check.kind === manualCheck.kind) return found.input as Question;
  const asking = configured.filter((each) => each.check.kind === manualCheck.kind).map((each) => each.id);
  const sentence =
    found === undefined
      ? `The gate ${gate} has no check "${check}"`
      : `The check ${check} of gate ${gate} is measured (${found.check.kind}), nobody answers it`;
  throw new UsageError("E_GATE_ANSWER", sentence, {
    hint:
      asking.length === 0
        ? `gate ${gate} asks nobody: it has no check of kind manual`
        : `its manual checks are: ${asking.join(", ")}`,
  });
}

function refuse(question: Question, input: { readonly by: string; readonly for?: number | undefined }): void {
  if (question.by !== undefined && !question.by.includes(input.by)) {
    throw new UsageError("E_GATE_ANSWER", `${input.by} may not answer this question`, {
      hint: `${question.role} is one of: ${question.by.join(", ")}`,
    });
  }
  const longest = question["valid-for"];
  if (input.for === undefined || (input.for > 0 && input.for <= longest)) return;
  throw new UsageError(
    "E_GATE_ANSWER",
    `An answer to this question counts for at most ${formatDuration(longest)}`,
    {
      hint: `write --for ${formatDuration(longest).replaceAll(" ", "")} or less`,
    },
  );
}
