import type { Problem } from "../problem.ts";

/** A change of a sqitch.plan. */
export interface PlannedChange {
  readonly name: string;
  /**
   * The names that its scripts may have, the likeliest first: `users`; where it was reworked, `users@v2` for each tag
   * between it and the next change of its name, the newest first. Sqitch takes the first one that it finds.
   */
  readonly scripts: readonly [string, ...string[]];
  readonly requires: readonly string[];
}

export const sqitchPlanFile = "sqitch.plan";

const changeLine = /^(?<sign>[+-]?)\s*(?<name>[^\s@+-]\S*)\s*(?:\[(?<dependencies>[^\]]*)\])?/;
const tagLine = /^@(?<tag>\S+)/;

/** https://sqitch.org/docs/manual/sqitchplan/ */
export function readSqitchPlan(text: string): { changes: PlannedChange[]; problems: Problem[] } {
  const problems: Problem[] = [];
  const found: { name: string; requires: string[]; tags: string[] }[] = [];
  const problem = (line: number, message: string, hint: string) =>
    problems.push({ kind: "plan", message: `sqitch.plan:${line}: ${message}`, hint });
  for (const [index, raw] of text.split("\n").entries()) {
    const line = raw.replace(/^\s+/, "");
    if (line === "" || /^[%#]/.test(line)) continue;
    const tag = tagLine.exec(line)?.groups?.tag;
    if (tag !== undefined) {
      found.at(-1)?.tags.push(tag);
      continue;
    }
    const parts = changeLine.exec(line)?.groups;
    if (parts === undefined || parts.sign === "-") {
      problem(index + 1, "this is neither a change nor a tag", "see sqitch.org: sqitchplan");
      continue;
    }
    const { name = "", dependencies = "" } = parts;
    const words = dependencies.split(/\s+/).filter((each) => each !== "");
    // What another project must have deployed is not ours to know.
    const own = words.filter((each) => !each.includes(":")).map((each) => each.replace(/@.*$/, ""));
    const requires = own.filter((each) => !each.startsWith("!") && each !== "");
    const known = new Set(found.map((each) => each.name));
    for (const missing of requires.filter((each) => !known.has(each))) {
      problem(index + 1, `${name} requires ${missing}, which does not stand before it`, "put it before");
    }
    for (const conflict of own.filter((each) => each.startsWith("!") && known.has(each.slice(1)))) {
      problem(index + 1, `${name} conflicts with ${conflict.slice(1)}`, "remove one of them");
    }
    found.push({ name, requires, tags: [] });
  }
  const changes = found.map(({ name, requires }, index): PlannedChange => {
    const next = found.findIndex((each, at) => at > index && each.name === name);
    const tags = next === -1 ? [] : found.slice(index, next).flatMap((each) => each.tags);
    const [newest, ...older] = tags.toReversed().map((tag) => `${name}@${tag}`);
    if (next !== -1 && newest === undefined) {
      problems.push({
        kind: "plan",
        message: `sqitch.plan: ${name} stands in it twice without a tag in between`,
        hint: "tag the plan before a change is reworked: see sqitch.org: sqitch-rework",
      });
    }
    return { name, requires, scripts: newest === undefined ? [name] : [newest, ...older] };
  });
  return { changes, problems };
}

/** The name under which sqitch's registry keeps the plan's changes. */
export function sqitchProject(text: string): string | undefined {
  return /^[ \t]*%[ \t]*project[ \t]*=[ \t]*(?<project>\S+)/m.exec(text)?.groups?.project;
}
