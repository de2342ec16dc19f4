import type { FolderListing } from "../folder-listing.ts";
import { migration } from "../migration.ts";
import type { Problem } from "../problem.ts";
import { sqlFile } from "../sql-file.ts";
import type { FolderContent, MigrationFormat } from "./format.ts";
import { sqitchPlanFile as plan, readSqitchPlan } from "./sqitch-plan.ts";

/** https://sqitch.org: the order of sqitch.plan over deploy/, revert/ and verify/. The version is the change's name. */
export const sqitch: MigrationFormat = {
  name: "sqitch",
  recognises: (folder) => folder.files.includes(plan),
  read,
  order: (folder) => {
    const { changes } = readPlan(folder);
    const places = new Map(changes.map((each, index) => [each.script, index]));
    return (a, b) => (places.get(a) ?? -1) - (places.get(b) ?? -1) || (a < b ? -1 : a > b ? 1 : 0);
  },
  wayBackFile: ({ version }) => `revert/${version}.sql`,
  create: (folder, _, name) => [
    { path: plan, content: withChange(folder.text(plan) ?? "", name) },
    { path: `deploy/${name}.sql`, content: "" },
    { path: `revert/${name}.sql`, content: "" },
    { path: `verify/${name}.sql`, content: "" },
  ],
};

/** The plan's changes by the names of their scripts. */
function readPlan(folder: FolderListing) {
  const { changes, problems } = readSqitchPlan(folder.text(plan) ?? "");
  const deploy = new Set(scriptsIn(folder, "deploy"));
  const named = changes.map(({ scripts }) => ({
    script: scripts.find((each) => deploy.has(`${each}.sql`)) ?? scripts[0],
  }));
  return { changes: named, problems };
}

function scriptsIn(folder: FolderListing, kind: string): readonly string[] {
  return folder.subfolders.includes(kind) ? folder.within(kind) : [];
}

function read(folder: FolderListing): FolderContent {
  const { changes, problems: planProblems } = readPlan(folder);
  const problems: Problem[] = [...planProblems];
  const scripts = new Map(
    ["deploy", "revert", "verify"].map((each) => [each, new Set(scriptsIn(folder, each))]),
  );
  const file = (kind: string, name: string) => {
    if (!scripts.get(kind)?.has(`${name}.sql`)) return undefined;
    const path = `${kind}/${name}.sql`;
    return sqlFile(path, () => folder.text(path));
  };
  const migrations = changes.flatMap(({ script }) => {
    const up = file("deploy", script);
    if (up === undefined) {
      problems.push({
        kind: "missing-up",
        message: `deploy/${script}.sql is missing, which ${plan} names`,
        hint: "add it, or take the change out of the plan",
      });
      return [];
    }
    return [
      migration({
        version: script,
        name: script,
        up,
        down: file("revert", script),
        verify: file("verify", script),
        verifyReturnsRows: true,
      }),
    ];
  });
  return { migrations, problems };
}

/** A line of a plan ends with when and by whom, which sqitch wants. */
function withChange(text: string, name: string): string {
  const now = new Date().toISOString().replace(/\.\d+Z$/, "Z");
  return `${text.replace(/\n*$/, "\n")}${name} ${now} ops <ops@localhost> # ${name}\n`;
}
