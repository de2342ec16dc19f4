import type { FolderListing } from "../folder-listing.ts";
import { type Migration, migration } from "../migration.ts";
import type { Problem } from "../problem.ts";
import { type ForeignSettings, sqlFile } from "../sql-file.ts";
import { canonicalVersion, compareVersions } from "../version.ts";
import type { FolderContent } from "./format.ts";
import { duplicate } from "./paired-files.ts";

/** Both directions of a migration in one file. */
export interface Directions {
  readonly up: string | undefined;
  readonly down: string | undefined;
  readonly upSettings?: ForeignSettings;
  readonly downSettings?: ForeignSettings;
  readonly problems?: readonly Problem[];
  /** Why the way there cannot be run; it may be applied already. */
  readonly upProblems?: readonly Problem[];
}

/** Reads a folder of which each file is a migration. `pattern` has the groups version and name. */
export function readSingleFiles(
  folder: FolderListing,
  pattern: RegExp,
  cut: (text: string, fileName: string) => Directions,
  misnamed: (fileName: string) => Problem | undefined,
): FolderContent {
  const problems: Problem[] = [];
  const migrations: Migration[] = [];
  const named = folder.files.flatMap((fileName) => {
    const parts = pattern.exec(fileName)?.groups;
    if (parts !== undefined) return [{ fileName, version: parts.version ?? "", name: parts.name ?? "" }];
    const problem = misnamed(fileName);
    if (problem !== undefined) problems.push(problem);
    return [];
  });
  for (const group of Map.groupBy(named, (each) => canonicalVersion(each.version)).values()) {
    const [first] = group;
    if (group.length > 1 || first === undefined) {
      problems.push(duplicate(group.map((each) => each.fileName)));
      continue;
    }
    const { fileName, version, name } = first;
    const text = folder.text(fileName);
    if (text === undefined) {
      problems.push(...sqlFile(fileName, () => undefined).problems);
      continue;
    }
    const { up, down, upSettings, downSettings, problems: own = [], upProblems } = cut(text, fileName);
    problems.push(...own);
    if (up === undefined) continue;
    migrations.push(
      migration({
        version,
        name,
        up: sqlFile(fileName, () => up, upSettings, upProblems),
        // A mark with nothing below it says that there is nothing to take back.
        down: down === undefined ? undefined : sqlFile(fileName, () => down, downSettings),
        verify: undefined,
      }),
    );
  }
  return { migrations: migrations.sort((a, b) => compareVersions(a.version, b.version)), problems };
}

/** Whether some file's text has the mark; only as many are read as it takes. */
export function someFileHolds(folder: FolderListing, name: RegExp, mark: RegExp): boolean {
  return folder.files.some((each) => name.test(each) && mark.test(folder.text(each) ?? ""));
}
