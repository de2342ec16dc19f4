import { realpath } from "node:fs/promises";
import { UsageError } from "../../core/errors.ts";
import { runProgram } from "../../process/run-program.ts";

/** The root of the checkout that the folder is in; undefined where it is in none, or git is not installed. */
export async function checkoutRoot(folder: string, signal: AbortSignal): Promise<string | undefined> {
  try {
    const { exitCode, stdout } = await runProgram("git", ["rev-parse", "--show-toplevel"], {
      cwd: folder,
      signal,
    });
    return exitCode === 0 ? await realpath(stdout.trim()) : undefined;
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "E_PROGRAM_MISSING") return undefined;
    throw error;
  }
}

/**
 * Files of the folder, relative to it, that are new or changed since the branch left `revision`: committed, staged,
 * changed or not yet added. Throws `E_LINT_BASE`.
 */
export async function changedFiles(
  folder: string,
  revision: string,
  signal: AbortSignal,
): Promise<Set<string>> {
  const git = async (...args: string[]) => {
    const { exitCode, stdout, stderr } = await runProgram("git", args, { cwd: folder, signal });
    if (exitCode === 0) return stdout;
    throw new UsageError("E_LINT_BASE", `git cannot say what changed since ${revision}`, {
      cause: stderr.trim() || `git ended with exit code ${exitCode}`,
      hint: "name a branch, tag or commit that is in this checkout (in CI: fetch it with its history)",
    });
  };
  const commit = (await git("rev-parse", "--verify", "--end-of-options", `${revision}^{commit}`)).trim();
  const base = (await git("merge-base", commit, "HEAD")).trim();
  const changed = await git(
    "diff",
    "--name-only",
    "--no-renames",
    "--diff-filter=d",
    "--relative",
    "-z",
    base,
    "--",
    ".",
  );
  const added = await git("ls-files", "--others", "--exclude-standard", "-z");
  return new Set(`${changed}${added}`.split("\0").filter((each) => each !== ""));
}
