import { OpsError } from "../core/errors.ts";
import { runProgram } from "../process/run-program.ts";

/** What is asked of a repository never writes, never reaches the network and starts no other program. */
const safe: readonly Setting[] = [
  ["core.fsmonitor", "false"],
  ["core.hooksPath", "/dev/null"],
  ["core.sshCommand", "false"],
  ["protocol.allow", "never"],
  ["safe.bareRepository", "explicit"],
];
const environment = {
  GIT_OPTIONAL_LOCKS: "0",
  GIT_TERMINAL_PROMPT: "0",
  GIT_ALLOW_PROTOCOL: "none",
  GIT_NO_LAZY_FETCH: "1",
  LC_ALL: "C",
};

type Setting = readonly [key: string, value: string];

/** A working tree as `git status` sees it. */
export interface RepositoryState {
  /** The commit's whole name, hexadecimal. */
  readonly head: string;
  /** Undefined where no branch is checked out. */
  readonly branch: string | undefined;
  readonly upstream: string | undefined;
  /** Commits that the branch has and its upstream has not, and the other way round; undefined where the upstream is gone. */
  readonly ahead: number | undefined;
  readonly behind: number | undefined;
  /** Paths that were changed, and those that git does not know. */
  readonly changed: readonly string[];
  readonly untracked: readonly string[];
  /** Tags at the commit. */
  readonly tags: readonly string[];
  /** Filters of the repository's own configuration, which were not run: files that they change look changed. */
  readonly filters: readonly string[];
}

/**
 * What a repository says of itself. Its configuration is not trusted: programs that it names (a monitor of files, hooks,
 * filters of contents, transports) are not started. Throws `E_GIT`.
 */
export async function readRepository(folder: string, signal: AbortSignal): Promise<RepositoryState> {
  const filters = await ownFilters(folder, signal);
  const off = filters.flatMap((name): Setting[] => [
    [`filter.${name}.clean`, ""],
    [`filter.${name}.smudge`, ""],
    [`filter.${name}.process`, ""],
    [`filter.${name}.required`, "false"],
  ]);
  const git = async (...args: string[]) => ask(folder, args, signal, off);
  // Of a submodule only which commit is checked out: to look into it, git would go by its configuration.
  const status = parseStatus(
    await git(
      "status",
      "--porcelain=v2",
      "--branch",
      "-z",
      "--untracked-files=normal",
      "--ignore-submodules=dirty",
    ),
  );
  const tags = await git("for-each-ref", "--points-at=HEAD", "--format=%(refname:strip=2)", "refs/tags");
  return { ...status, tags: tags.split("\n").filter((each) => each !== ""), filters };
}

/** Pure: `git status --porcelain=v2 --branch -z` (git-status(1)). Throws `E_GIT` where there is no commit yet. */
export function parseStatus(text: string): Omit<RepositoryState, "tags" | "filters"> {
  const headers = new Map<string, string>();
  const changed: string[] = [];
  const untracked: string[] = [];
  const entries = text.split("\0");
  for (let index = 0; index < entries.length; index += 1) {
    const entry = entries[index] ?? "";
    const header = /^# (branch\.\w+) (.*)$/s.exec(entry);
    if (header !== null) headers.set(header[1] ?? "", header[2] ?? "");
    else if (entry.startsWith("? ")) untracked.push(entry.slice(2));
    else if (/^[12u] /.test(entry)) {
      // Fields before the path: 8 of an ordinary change, 9 of a rename, 10 of a conflict.
      const fields = { "1": 8, "2": 9, u: 10 }[entry[0] ?? ""] ?? 8;
      changed.push(entry.split(" ").slice(fields).join(" "));
      // The old path of a rename is an entry of its own.
      if (entry.startsWith("2 ")) index += 1;
    }
  }
  const head = headers.get("branch.oid") ?? "";
  if (!/^[0-9a-f]{40,64}$/.test(head))
    throw new OpsError("E_GIT", "The repository has no commit yet", { retryable: false });
  const branch = headers.get("branch.head");
  const [, ahead, behind] = /^\+(\d+) -(\d+)$/.exec(headers.get("branch.ab") ?? "") ?? [];
  return {
    head,
    branch: branch === "(detached)" ? undefined : branch,
    upstream: headers.get("branch.upstream"),
    ahead: ahead === undefined ? undefined : Number(ahead),
    behind: behind === undefined ? undefined : Number(behind),
    changed,
    untracked,
  };
}

/** Names of filters in `.git/config` and what it includes; those of the user and the system are theirs to trust. */
async function ownFilters(folder: string, signal: AbortSignal): Promise<string[]> {
  const listed = await ask(folder, ["config", "--list", "--show-scope", "-z"], signal);
  const names = new Set<string>();
  const parts = listed.split("\0");
  for (let index = 0; index + 1 < parts.length; index += 2) {
    const name = /^filter\.(.+)\.[a-z]+(\n|$)/.exec(parts[index + 1] ?? "")?.[1];
    if (name !== undefined && ["local", "worktree"].includes(parts[index] ?? "")) names.add(name);
  }
  return [...names];
}

async function ask(
  cwd: string,
  args: readonly string[],
  signal: AbortSignal,
  settings: readonly Setting[] = [],
): Promise<string> {
  const env = { ...environment, ...asVariables([...safe, ...settings]) };
  const { exitCode, stdout, stderr } = await runProgram("git", ["--no-pager", ...args], { cwd, env, signal });
  if (exitCode === 0) return stdout;
  const lines = stderr.trim().split("\n");
  const complaint = lines.find((each) => /^(fatal|error):/.test(each)) ?? lines[0] ?? "";
  throw new OpsError("E_GIT", `git says of ${cwd}: ${complaint.replace(/^(fatal|error): /, "")}`, {
    retryable: false,
  });
}

/** Not as `-c key=value`: the name of a filter may hold a sign of equality. */
function asVariables(settings: readonly Setting[]): Record<string, string> {
  const pairs = settings.flatMap(([key, value], index) => [
    [`GIT_CONFIG_KEY_${index}`, key],
    [`GIT_CONFIG_VALUE_${index}`, value],
  ]);
  return { GIT_CONFIG_COUNT: String(settings.length), ...Object.fromEntries(pairs) };
}
