import { z } from "zod";
import { type Migration, title } from "./migration-file.ts";
import type { Problem } from "./problem.ts";
import { canonicalVersion } from "./version.ts";

/** A file that the plan will run, bound to its text: another text at the time of the run is refused. */
export type PlannedFile = {
  readonly version: string;
  readonly name: string;
  readonly checksum: string;
  /** Whether there is a file that takes the step back. */
  readonly reversible: boolean;
  /** What a person should know before it runs: that it is not atomic, that it comes late. */
  readonly notes?: string[];
};

/** What a run of migrations saw before it began. */
export type Before = {
  readonly database: string;
  /** Versions, oldest first. */
  readonly applied: string[];
  /** In the order in which they run. */
  readonly planned: PlannedFile[];
};

/** One migration that was run, in the output of `migrate.up` and `migrate.down`. */
export const ranSchema = z.object({
  version: z.string().describe("Version of the migration"),
  name: z.string().describe("Name of the migration"),
  durationMs: z.number().describe("How long its file took"),
});

export type Ran = z.output<typeof ranSchema>;

export function includesVersion(versions: readonly string[], version: string): boolean {
  return versions.some((each) => canonicalVersion(each) === canonicalVersion(version));
}

/** The migrations as they stand in the folder now; what is gone or has another text than was planned is a problem. */
export function findPlanned(
  planned: readonly PlannedFile[],
  migrations: readonly Migration[],
  direction: "up" | "down",
): { readonly found: Migration[]; readonly problems: Problem[] } {
  const problems: Problem[] = [];
  const byVersion = new Map(migrations.map((each) => [each.version, each]));
  const found = planned.flatMap((each) => {
    const migration = byVersion.get(each.version);
    if (migration !== undefined && migration[direction]?.checksum === each.checksum) return [migration];
    problems.push({
      kind: "changed-since-plan",
      message: `${migration?.[direction]?.name ?? `${title(each)}.${direction}.sql`} is not the file that was planned`,
      hint: "plan again, so that what is shown is what runs",
    });
    return [];
  });
  return { found, problems };
}
