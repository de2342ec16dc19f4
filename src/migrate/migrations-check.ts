import { z } from "zod";
import type { DatabaseTarget } from "../config/environment.ts";
import { counted } from "../core/counted.ts";
import { parseDuration } from "../core/duration.ts";
import { duration, name } from "../core/schema.ts";
import { defineCheck } from "../run/check.ts";
import type { OperationContext } from "../run/context.ts";
import { judgeByLimits } from "../run/limits.ts";
import type { Report } from "../run/operation.ts";
import { title } from "./migration-file.ts";
import { judge, policies } from "./policy.ts";
import { readDrift } from "./schema-drift.ts";
import { type Survey, survey } from "./session.ts";
import { readTested } from "./tested.ts";

/** A throw-away server has to start, and every applied migration to run on it. */
const driftPatience = parseDuration("3m");
const usualPatience = parseDuration("30s");
const shownNames = 3;

const input = z
  .strictObject({
    database: name("The database; default: the only one, or main").optional(),
    "none-pending": z.boolean().default(false).describe("Every migration is applied"),
    phase: z
      .enum(["expand", "contract", "all"])
      .default("all")
      .describe("With none-pending: only migrations of this phase have to be applied"),
    tested: z
      .boolean()
      .default(false)
      .describe("ops migrate test has passed with exactly what is pending, where something is"),
    "max-age": duration("With tested: how old the test may be").prefault("7d"),
    "on-copy": z
      .boolean()
      .default(false)
      .describe("With tested: it must have run on a copy of the real database, not only on an empty one"),
    "no-drift": z
      .boolean()
      .default(false)
      .describe("The live schema is what its applied migrations give, built on a throw-away server here"),
    ignore: z
      .array(z.string())
      .default([])
      .describe("With no-drift: objects that may differ, as ops migrate drift shows them, * for any text"),
  })
  .refine((value) => value["none-pending"] || value.tested || value["no-drift"], {
    message: "asks for nothing: write none-pending: true, tested: true or no-drift: true",
  });

/** A fact, and whether it is what was asked for. */
type Fact = { readonly good: boolean; readonly text: string };

type Evidence = { facts: Fact[] };

export const migrationsCheck = defineCheck({
  kind: "migrations",
  summary: "Whether migrations are all applied, tested as they are now, and all that the schema is made of",
  why: "An application that meets another schema than it was built for fails in ways that nobody has tested.",
  remedy:
    "ops migrate status says what is pending, ops migrate test tries it, ops migrate drift shows what was changed by hand.",
  input,
  limitUnits: ["number"],
  patience: (settings) => (settings["no-drift"] ? driftPatience : usualPatience),

  async measure(context, settings) {
    const target = context.environment.database(settings.database);
    const found = await survey(context, target);
    const { problems, waiting } = judge(found.assessment, policies({}, target));
    const mistakes = [...found.folder.problems, ...problems].map((each) => each.message);
    const pending = waiting.map((each) => each.migration);
    const begun = [...found.halfDone, ...found.backfills].map((each) => each.version);
    const base = {
      database: target.name,
      version: found.assessment.current ?? null,
      pending: pending.map(title),
      problems: mistakes,
      begun,
    };
    const facts: Fact[] = [
      ...mistakes.map((text) => ({ good: false, text })),
      ...begun.map((version) => ({ good: false, text: `version ${version} is applied in part` })),
    ];
    const phase = pending.filter(
      (each) => settings.phase === "all" || each.settings.phase === settings.phase,
    );
    facts.push({
      good: !settings["none-pending"] || phase.length === 0,
      text: pendingText(pending.map(title)),
    });
    let report: string | null = null;
    // What cannot be run as it is was not tested as it is, and gives no schema.
    if (settings.tested && mistakes.length === 0 && pending.length > 0) {
      const demands = { maxAge: settings["max-age"], onCopy: settings["on-copy"] };
      const answer = await readTested(context, target.name, found.assessment, pending, demands);
      report = answer.report;
      facts.push({ good: answer.tested, text: answer.shown });
    }
    const drift =
      settings["no-drift"] && mistakes.length === 0
        ? await driftFact(context, target, found, settings.ignore)
        : { facts: [], differences: null };
    facts.push(...drift.facts);
    return {
      value: pending.length,
      shown: facts.map((each) => each.text).join("; "),
      evidence: { ...base, report, differences: drift.differences, facts: [...facts] },
    };
  },

  judge({ value, evidence }, _settings, limits) {
    const { facts } = evidence as unknown as Evidence;
    const bad = facts.filter((each) => !each.good);
    if (bad.length > 0) return { status: "fail", reason: bad.map((each) => each.text).join("; ") };
    return judgeByLimits(Number(value), facts.map((each) => each.text).join("; "), limits);
  },
});

function pendingText(titles: readonly string[]): string {
  if (titles.length === 0) return "nothing is pending";
  const more = titles.length > shownNames ? ` and ${titles.length - shownNames} more` : "";
  return `${titles.length} pending: ${titles.slice(0, shownNames).join(", ")}${more}`;
}

async function driftFact(
  context: OperationContext,
  target: DatabaseTarget,
  found: Survey,
  ignore: readonly string[],
): Promise<{ facts: Fact[]; differences: { state: string; kind: string; identity: string }[] }> {
  const { differences } = await readDrift(context, target, found, { owners: false, ignore }, unheard);
  const named = differences.map(({ state, kind, identity }) => ({ state, kind, identity }));
  if (named.length === 0) return { facts: [{ good: true, text: "no drift" }], differences: [] };
  const some = named
    .slice(0, shownNames)
    .map(({ state, kind, identity }) => `${kind} ${identity} is ${state}`);
  const more = named.length > shownNames ? `, and ${named.length - shownNames} more` : "";
  const text = `the schema has drifted in ${counted(named.length, "object")}: ${some.join(", ")}${more}`;
  return { facts: [{ good: false, text }], differences: named };
}

/** Nobody watches a measurement, and it is made anew after a crash. */
const unheard: Report = {
  progress: () => undefined,
  log: () => undefined,
  checkpoint: async () => undefined,
  last: undefined,
};
