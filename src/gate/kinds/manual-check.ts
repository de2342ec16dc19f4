import { formatDuration, parseDuration } from "../../core/duration.ts";
import { OpsError } from "../../core/errors.ts";
import { formatMoment } from "../../core/moment.ts";
import { type CheckPlace, defineCheck, type Judgement, type Measurement } from "../../run/check.ts";
import type { OperationContext } from "../../run/context.ts";
import { type Answer, AnswerBook } from "../answer-book.ts";
import { type Question, questionDigest, questionInput } from "../question.ts";

/** Clocks of two machines may differ a little; an answer from further ahead says that one of them is wrong. */
const clockTolerance = parseDuration("5m");

/** `standing` is what is there to go by: only `yes` and `no` are answers that count. */
type ManualEvidence = {
  readonly standing: "yes" | "no" | "unanswered" | "expired" | "changed";
  readonly question: string;
  readonly role: string;
  readonly questionDigest: string;
  /** Who answered, when, from which host, until when; of the newest answer, also where it counts no more. */
  readonly answer: { readonly [key: string]: string } | null;
};

/**
 * A question that a person answers with `ops gate answer`, before or after the gate is measured: nothing is asked while
 * it is, so that a gate does the same in CI as on a terminal.
 */
export const manualCheck = defineCheck({
  kind: "manual",
  summary: "A question that a person must have answered with yes: ops gate answer",
  why: "Some facts only a person knows; here stands who said so, and for how long it counts.",
  remedy: "Ask whoever has the role; the command that writes the answer down stands above.",
  limitUnits: [],
  neverKept: true,
  input: questionInput,
  measure: async (context, input, place): Promise<Measurement> => {
    if (place === undefined) throw new OpsError("E_CHECK_VALUE", "Only a gate can ask a person");
    const [newest] = AnswerBook.read(context.stateDirectory, context.environment.name, place).filter(
      (each) => each.withdrawnAt === null,
    );
    const standing = standingOf(newest, input, context.clock.now().getTime());
    const evidence: ManualEvidence = {
      standing,
      question: input.question,
      role: input.role,
      questionDigest: questionDigest(input),
      answer: newest === undefined ? null : shownAnswer(newest, input),
    };
    const value = standing === "yes" ? true : standing === "no" ? false : null;
    return { value, shown: sentence(standing, newest, input, askedBy(context, place)), evidence };
  },
  judge: ({ value, shown }): Judgement => ({
    status: value === true ? "pass" : value === false ? "fail" : "unknown",
    reason: shown,
  }),
});

/** A shorter `valid-for` than at the time of the answer counts. Throws `E_CLOCK`. */
function expiryOf(answer: Answer, question: Question): number {
  return Math.min(answer.expiresAt, answer.answeredAt + question["valid-for"]);
}

function standingOf(answer: Answer | undefined, question: Question, now: number): ManualEvidence["standing"] {
  if (answer === undefined) return "unanswered";
  if (answer.answeredAt > now + clockTolerance) {
    throw new OpsError(
      "E_CLOCK",
      `The answer of ${answer.by} is ${formatDuration(answer.answeredAt - now)} in the future`,
      { hint: "set this machine's clock, and ask again" },
    );
  }
  if (answer.digest !== questionDigest(question)) return "changed";
  return expiryOf(answer, question) <= now ? "expired" : answer.answer;
}

function shownAnswer(answer: Answer, question: Question): { [key: string]: string } {
  return {
    answer: answer.answer,
    by: answer.by,
    note: answer.note,
    actor: answer.actor,
    host: answer.host,
    at: new Date(answer.answeredAt).toISOString(),
    until: new Date(expiryOf(answer, question)).toISOString(),
    run: answer.run,
  };
}

/** What a person types to answer. */
function askedBy({ environment }: OperationContext, { gate, check }: CheckPlace): string {
  const where = environment.name === "default" ? "" : ` --env ${environment.name}`;
  return `ops gate answer ${gate} ${check} yes${where} --by NAME --note TEXT`;
}

function sentence(
  standing: ManualEvidence["standing"],
  answer: Answer | undefined,
  question: Question,
  command: string,
): string {
  const who = question.by === undefined ? question.role : `${question.role} (${question.by.join(" or ")})`;
  const ask = `${who} must answer "${question.question}": ${command}`;
  if (answer === undefined) return ask;
  const until = formatMoment(expiryOf(answer, question));
  switch (standing) {
    case "yes":
    case "no":
      return `${answer.by} says ${answer.answer} to "${question.question}", until ${until}: ${answer.note}`;
    case "expired":
      return `the ${answer.answer} of ${answer.by} counted until ${until}; ${ask}`;
    default:
      return `the question was changed since ${answer.by} said ${answer.answer}; ${ask}`;
  }
}
