import { runProgram } from "./run-program.ts";

/** What CI systems call the commit that they build. */
const variables = ["GITHUB_SHA", "CI_COMMIT_SHA", "BUILDKITE_COMMIT", "CIRCLE_SHA1"];

/**
 * The commit that a folder has checked out, or that CI says it builds; undefined where there is neither. Git runs no
 * program that the repository names, and writes nothing.
 */
export async function commitOf(directory: string, signal?: AbortSignal): Promise<string | undefined> {
  const named = variables.map((each) => process.env[each]).find((each) => each !== undefined && each !== "");
  if (named !== undefined) return named;
  const safe = ["-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null"];
  try {
    const { exitCode, stdout } = await runProgram(
      "git",
      [...safe, "rev-parse", "--verify", "--quiet", "HEAD"],
      { cwd: directory, env: { GIT_OPTIONAL_LOCKS: "0" }, signal },
    );
    return exitCode === 0 && /^[0-9a-f]{40,64}$/.test(stdout) ? stdout : undefined;
  } catch (error) {
    signal?.throwIfAborted();
    // No git, or no folder: then there is no commit to tell.
    if (error instanceof Error && "code" in error) return undefined;
    throw error;
  }
}
