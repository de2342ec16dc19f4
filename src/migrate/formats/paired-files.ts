import type { FolderListing } from "../folder-listing.ts";
import { type Migration, migration, title } from "../migration.ts";
import type { Problem } from "../problem.ts";
import { sqlFile } from "../sql-file.ts";
import { canonicalVersion, compareVersions } from "../version.ts";
import type { FolderContent } from "./format.ts";

interface NamedFile {
  readonly fileName: string;
  readonly version: string;
  readonly name: string;
  readonly direction: "up" | "down" | "verify";
}

/** `pattern` has the groups version, name and direction. */
export function readPairedFiles(
  folder: FolderListing,
  pattern: RegExp,
  misnamed: (fileName: string) => Problem | undefined,
): FolderContent {
  const problems: Problem[] = [];
  const files: NamedFile[] = [];
  for (const fileName of folder.files) {
    const parts = pattern.exec(fileName)?.groups;
    if (parts === undefined) {
      const problem = misnamed(fileName);
      if (problem !== undefined) problems.push(problem);
      continue;
    }
    const { version = "", name = "", direction } = parts;
    files.push({
      fileName,
      version,
      name,
      direction: direction === "down" || direction === "verify" ? direction : "up",
    });
  }
  const migrations = [...Map.groupBy(files, (each) => canonicalVersion(each.version)).values()]
    .flatMap((group) => join(folder, group, problems))
    .sort((a, b) => compareVersions(a.version, b.version));
  return { migrations, problems };
}

/** The files of one version as one migration; nothing where they contradict each other. */
function join(folder: FolderListing, group: readonly NamedFile[], problems: Problem[]): Migration[] {
  const by = (direction: NamedFile["direction"]) => group.filter((each) => each.direction === direction);
  const [ups, downs, verifies] = [by("up"), by("down"), by("verify")];
  const same = [ups, downs, verifies].filter((each) => each.length > 1);
  for (const files of same) problems.push(duplicate(files.map((each) => each.fileName)));
  if (same.length > 0) return [];
  const [up] = ups;
  const others = [...downs, ...verifies];
  if (up === undefined) {
    for (const each of others) {
      problems.push({
        kind: "missing-up",
        message: `${each.fileName} has no file that it ${each.direction === "down" ? "takes back" : "verifies"}`,
        hint: `add ${title(each)}.up.sql, or delete it`,
      });
    }
    return [];
  }
  const misnamed = others.filter((each) => title(each) !== title(up));
  for (const each of misnamed) {
    problems.push({
      kind: "name-mismatch",
      message: `${up.fileName} and ${each.fileName} have the same version but not the same name`,
      hint: `rename the second to ${title(up)}.${each.direction}.sql`,
    });
  }
  if (misnamed.length > 0) return [];
  const file = (named: NamedFile | undefined) =>
    named && sqlFile(named.fileName, () => folder.text(named.fileName));
  const { version, name, fileName } = up;
  return [
    migration({
      version,
      name,
      up: sqlFile(fileName, () => folder.text(fileName)),
      down: file(downs[0]),
      verify: file(verifies[0]),
    }),
  ];
}

export function duplicate(names: readonly string[]): Problem {
  return {
    kind: "duplicate-version",
    message: `${names.join(" and ")} have the same version`,
    hint: "give one of them a newer version",
  };
}
