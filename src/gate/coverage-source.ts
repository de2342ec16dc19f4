import { existsSync, realpathSync } from "node:fs";
import { dirname, isAbsolute, join } from "node:path";
import { OpsError } from "../core/errors.ts";
import type { ReportFile } from "./report-file.ts";

/**
 * Which file each report means by a path. Reports of several packages call different files alike (`src/index.ts`): added
 * up as one, half of each would be all of it. So only what is the same file here counts as one.
 */
export class CoverageSources {
  /** By a path that is no file here, the report that has it. */
  private readonly elsewhere = new Map<string, string>();

  /**
   * A relative path is looked for in the folder of the report and in those above it; the nearest file counts.
   * Throws `E_REPORT_BROKEN` where another report has the same path and there is no such file here.
   *
   * @param roots folders that the report says its paths begin at
   */
  keyOf(report: ReportFile, path: string, roots: readonly string[] = []): string {
    const found = candidates(report, path, roots).find((each) => existsSync(each));
    if (found !== undefined) return realpathSync(found);
    const other = this.elsewhere.get(path);
    if (other === undefined || other === report.shown) {
      this.elsewhere.set(path, report.shown);
      return path;
    }
    throw new OpsError(
      "E_REPORT_BROKEN",
      `${other} and ${report.shown} both have ${path}, which is no file here: whether they mean the same one cannot be told`,
      { hint: "measure where the sources are, or name one report that has them all", retryable: false },
    );
  }
}

function candidates(report: ReportFile, path: string, roots: readonly string[]): string[] {
  if (isAbsolute(path)) return [path];
  const named = [...roots.map((root) => join(root, path)), path];
  const above = foldersAbove(report.path);
  return named.flatMap((each) => (isAbsolute(each) ? [each] : above.map((folder) => join(folder, each))));
}

/** The folder of a file first. */
function foldersAbove(file: string): string[] {
  const folder = dirname(file);
  return folder === dirname(folder) ? [folder] : [folder, ...foldersAbove(folder)];
}
