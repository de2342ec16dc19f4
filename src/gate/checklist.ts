import { z } from "zod";
import { formatMoment } from "../core/moment.ts";
import { duration, name } from "../core/schema.ts";
import { type ConfiguredCheck, configuredChecks } from "../run/configured-check.ts";
import { shownOverride } from "../run/gate-override.ts";
import { type GateResult, shownReason, verdictLine } from "../run/gate-verdict.ts";
import type { CheckResult } from "../run/measure-check.ts";
import { measureGate } from "../run/measure-gate.ts";
import { defineOperation } from "../run/operation.ts";
import { manualCheck } from "./kinds/manual-check.ts";
import type { Question } from "./question.ts";
import { gateResultSchema } from "./result-schema.ts";

const item = z.object({
  id: z.string(),
  kind: z.string(),
  question: z.string().nullable().describe("Of a manual check"),
  role: z.string().nullable().describe("Who must answer it"),
  limits: z.array(z.string()),
  required: z.boolean(),
  why: z.string().nullable(),
});

const output = z.object({
  gate: z.string(),
  title: z.string(),
  text: z.string().nullable(),
  sections: z.array(
    z.object({
      title: z.string().nullable().describe("Null: checks that stand in no section"),
      text: z.string().nullable(),
      checks: z.array(item),
    }),
  ),
  result: gateResultSchema.nullable().describe("Null where nothing was measured"),
});

type Item = z.output<typeof item>;

/** A document, not a decision: it ends well whatever the gate says, and leaves no verdict behind. */
export const checklist = defineOperation({
  name: "gate.checklist",
  summary: "A gate as a Markdown checklist, measured and answered as it stands now",
  example: "gate checklist pre-migration > pre-migration.md",
  effect: "read",
  input: z.strictObject({
    gate: name("The gate's name in .opsrc"),
    measure: z.boolean().default(true).describe("Only the list: nothing is measured"),
    timeout: duration("How long a check without a timeout of its own may take").prefault("30s"),
  }),
  positional: ["gate"],
  output,
  observe: async () => null,
  plan: () => [],
  apply: async (context, { gate, measure, timeout }, _before, report) => {
    const settings = context.environment.gate(gate);
    const configured = configuredChecks(gate, settings, await context.checks());
    const items = new Map(configured.map((each) => [each.id, itemOf(each)]));
    const itemsOf = (checks: readonly { readonly id: string }[]) =>
      checks.flatMap(({ id }) => items.get(id) ?? []);
    const sections = settings.sections ?? [];
    const within = new Set(sections.flatMap(({ checks }) => checks.map(({ id }) => id)));
    const alone = itemsOf(settings.checks.filter(({ id }) => !within.has(id)));
    const result = measure
      ? await measureGate(context, gate, timeout, (each, done, total) =>
          report.progress({ message: `${each.id}: ${each.status}`, done, total }),
        )
      : null;
    return {
      gate,
      title: settings.title ?? `Gate ${gate}`,
      text: settings.text?.trim() ?? null,
      sections: [
        ...(alone.length === 0 ? [] : [{ title: null, text: null, checks: alone }]),
        ...sections.map(({ title, text, checks }) => ({
          title,
          text: text?.trim() ?? null,
          checks: itemsOf(checks),
        })),
      ],
      result,
    };
  },
  render: ({ title, text, sections, result }) => {
    const results = new Map((result?.checks ?? []).map((each) => [each.id, each as CheckResult]));
    const parts = [
      `# ${title}`,
      ...(text === null ? [] : [text]),
      ...(result === null ? [] : [verdictOf(result as GateResult)]),
      ...sections.flatMap((section) => [
        ...(section.title === null ? [] : [`## ${section.title}`]),
        ...(section.text === null ? [] : [section.text]),
        section.checks.map((each) => lines(each, results.get(each.id)).join("\n")).join("\n"),
      ]),
    ];
    return parts.join("\n\n");
  },
});

function itemOf({ id, check, input, limits, required, why }: ConfiguredCheck): Item {
  const question = check.kind === manualCheck.kind ? (input as Question) : undefined;
  return {
    id,
    kind: check.kind,
    question: question?.question ?? null,
    role: question?.role ?? null,
    limits: (["fail", "warn"] as const).flatMap((key) => {
      const limit = limits[key];
      return limit === undefined ? [] : [`${key} ${limit.text.trim()}`];
    }),
    required,
    why: why ?? null,
  };
}

function verdictOf(result: GateResult): string {
  const { environment, endedAt, actor, checks } = result;
  const ticked = checks.filter(isTicked).length;
  const when = formatMoment(new Date(endedAt));
  const line = verdictLine(result).replace(/^Gate [^:]*: /, "");
  return `**${plain(line)}** in ${plain(environment)}, ${ticked} of ${checks.length} done, ${when}, by ${plain(actor)}`;
}

/** Only what passed is done: an override lets the gate go, it does not make the check pass. */
function isTicked({ status }: Pick<CheckResult, "status">): boolean {
  return status === "pass" || status === "warn";
}

const words = { pass: "", warn: "warning: ", fail: "fails: ", unknown: "unknown: " } as const;

function lines(each: Item, result: CheckResult | undefined): string[] {
  const what = each.question ?? each.why ?? each.kind;
  if (result === undefined) {
    const by = each.role === null ? each.kind : `answered by ${each.role}`;
    const facts = [by, ...each.limits, ...(each.required ? [] : ["not required"])].join(", ");
    return [`- [ ] **${plain(each.id)}**: ${plain(what)} (${plain(facts)})`];
  }
  const measured = result.kept === undefined ? result.endedAt : result.startedAt;
  const below = [
    ...(result.override === undefined ? [] : [shownOverride(result.override)]),
    ...(result.status === "pass" || result.why === undefined ? [] : [`why: ${result.why}`]),
    ...(result.status === "pass" || result.remedy === undefined ? [] : [`do: ${result.remedy}`]),
    each.question === null
      ? `${each.kind}, measured ${formatMoment(new Date(measured))}${digestOf(result)}`
      : answeredBy(result, each),
  ];
  const box = isTicked(result) ? "x" : " ";
  return [
    `- [${box}] **${plain(each.id)}**: ${words[result.status]}${plain(shownReason(result))}`,
    ...below.map((text) => `  - ${plain(text)}`),
  ];
}

function digestOf({ rawDigest }: CheckResult): string {
  return rawDigest === undefined ? "" : `, read ${rawDigest}`;
}

function answeredBy({ evidence }: CheckResult, { role }: Item): string {
  const shape = z.object({
    standing: z.string(),
    answer: z.object({ by: z.string(), actor: z.string(), host: z.string(), at: z.string() }),
  });
  const found = shape.safeParse(evidence);
  if (!found.success || !["yes", "no"].includes(found.data.standing)) return `asked of ${role}`;
  const { by, actor, host, at } = found.data.answer;
  return `answered by ${by} (${actor} on ${host}), ${formatMoment(new Date(at))}`;
}

/** Text as it is, on one line: nothing in it is Markdown or HTML. */
function plain(text: string): string {
  return text
    .replaceAll(/\s*\n\s*/g, " ")
    .replaceAll(/[\\`*[\]<~|&]/g, "\\$&")
    .replaceAll(/(?<![\p{L}\p{N}])_|_(?![\p{L}\p{N}])/gu, "\\_");
}
