import type { Environment } from "../config/environment.ts";
import { noticeLanguage, noticeScope } from "../config/notify-language.ts";
import { matches } from "../config/notify-schema.ts";
import type { NotifyRule } from "../config/schema.ts";
import { redactJson } from "../core/redaction.ts";
import { visible } from "../core/visible.ts";
import { ExpressionError } from "../expression/expression.ts";
import { parseTemplate, render } from "../expression/template.ts";
import { type Message, severities, shortened } from "../notifier/message.ts";
import type { NewNotice } from "./outbox.ts";

/** Something that happened, with what rules ask about beside the message. */
export interface Happening {
  readonly message: Message;
  /** The run or the schedule. */
  readonly source: string;
  /** Unique within an environment. */
  readonly key: string;
  /** The runbook's name; undefined for an operation of its own. */
  readonly runbook: string | undefined;
  /** The operation, of the step or of the whole run. */
  readonly operation: string | undefined;
}

/** Who is to be told, each once: the first rule that names somebody has the words. */
export function noticesOf(environment: Environment, happening: Happening): NewNotice[] {
  const told = new Map<string, NewNotice>();
  for (const { name, rule } of environment.notifyRules()) {
    if (!concerns(rule, environment.name, happening)) continue;
    for (const target of rule.to) {
      if (told.has(target)) continue;
      told.set(target, noticeTo(environment, target, happening, inWordsOf(name, rule, happening.message)));
    }
  }
  return [...told.values()];
}

/** Those without whom a run does not begin. */
export function requiredFor(environment: Environment, happening: Happening): string[] {
  const rules = environment.notifyRules().filter(({ rule }) => rule.required);
  return rules.flatMap(({ rule }) => (concerns(rule, environment.name, happening) ? rule.to : []));
}

/** Errors of programs can be long; what is whole is in the journal. */
const longestTitle = 300;
const longestText = 4000;

function oneLine(text: string): string {
  return shortened(visible(text.replace(/\s+/g, " ").trim()), longestTitle);
}

/** A pager has to hear of a trouble before it hears of its end; everybody else may hear as it comes. */
export function noticeTo(
  environment: Environment,
  target: string,
  { source, key }: Pick<Happening, "source" | "key">,
  message: Message,
): NewNotice {
  const ordered = environment.notification(target).kind === "pagerduty";
  return {
    channel: "notification",
    target,
    source,
    key: `${key}/${target}`,
    subject: ordered ? message.subject : null,
    body: redactJson({
      ...message,
      title: oneLine(message.title),
      text: shortened(visible(message.text.replaceAll("\r\n", "\n")), longestText),
    }),
  };
}

function concerns(
  rule: NotifyRule,
  environment: string,
  { message, runbook, operation }: Happening,
): boolean {
  const one = (patterns: readonly string[] | undefined, text: string | undefined) =>
    text !== undefined && patterns?.some((each) => matches(each, text)) === true;
  if (!one(rule.events, message.event)) return false;
  if (severities.indexOf(message.severity) < severities.indexOf(rule.severity)) return false;
  if (rule.environments !== undefined && !one(rule.environments, environment)) return false;
  if (rule.runbooks === undefined && rule.operations === undefined) return true;
  return one(rule.runbooks, runbook) || one(rule.operations, operation);
}

/** A rule's own words; where they cannot be evaluated, what was to be told is told all the same, and why. */
function inWordsOf(name: string, { title, text }: NotifyRule, message: Message): Message {
  const words = (template: string | undefined, usual: string): { said: string; amiss?: string } => {
    if (template === undefined) return { said: usual };
    try {
      const said = render(parseTemplate(template, noticeLanguage), noticeScope(message));
      return { said: typeof said === "string" ? said : JSON.stringify(said) };
    } catch (error) {
      if (!(error instanceof ExpressionError)) throw error;
      return { said: usual, amiss: `(the words of the rule ${name} cannot be used: ${error.message})` };
    }
  };
  const [first, second] = [words(title, message.title), words(text, message.text)];
  const amiss = first.amiss ?? second.amiss;
  return {
    ...message,
    title: first.said,
    text: amiss === undefined ? second.said : `${second.said}\n${amiss}`,
  };
}
