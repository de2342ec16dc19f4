import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { OpsError } from "../../core/errors.ts";
import { runProgram } from "../../process/run-program.ts";
import { makeRunnable, type Runnable } from "../runnable.ts";
import type { SqlFile } from "../sql-file.ts";
import type { Remark } from "./finding.ts";

/** As squawk prints it: the line counts from 0, the column counts bytes from 0. */
interface SquawkFinding {
  readonly file: string;
  readonly line: number;
  readonly column: number;
  readonly level: string;
  readonly message: string;
  readonly help: string | null;
  readonly rule_name: string;
}

/** What the runner takes care of: it sets the timeouts, and a file that failed is rolled back or goes on where it was. */
const takenCareOf = ["require-lock-timeout", "require-statement-timeout", "prefer-robust-stmts"];

/** Told by PostgreSQL's own parser. */
const syntaxRule = "syntax-error";

/** Short enough for a command line of any system. */
const filesAtOnce = 200;

/**
 * Runs squawk over the files, in `directory`, where it finds a `.squawk.toml` of the project.
 *
 * @param serverVersion `15.8`; undefined: squawk's own default
 * @returns what it remarks, by file
 */
export async function squawkRemarks(
  files: readonly SqlFile[],
  serverVersion: string | undefined,
  directory: string,
  signal: AbortSignal,
): Promise<Map<SqlFile, Remark[]>> {
  const remarks = new Map<SqlFile, Remark[]>(files.map((each) => [each, []]));
  const folder = await mkdtemp(join(tmpdir(), "ops-lint-"));
  try {
    const named = new Map(files.map((file, index) => [`${index}.sql`, file]));
    for (const [name, file] of named) await writeFile(join(folder, name), file.sql);
    const modes = new Map<string, Runnable["mode"]>();
    for (const [name, file] of named) modes.set(name, (await makeRunnable(file)).mode);
    for (const mode of ["transaction", "statements"] as const) {
      const names = [...named.keys()].filter((name) => modes.get(name) === mode);
      for (let from = 0; from < names.length; from += filesAtOnce) {
        const paths = names.slice(from, from + filesAtOnce).map((name) => join(folder, name));
        const inTransaction = mode === "transaction" ? ["--assume-in-transaction"] : [];
        const version = serverVersion === undefined ? [] : [`--pg-version=${serverVersion}`];
        for (const found of await run([...inTransaction, ...version, ...paths], directory, signal)) {
          const file = named.get(basename(found.file));
          if (file !== undefined) remarks.get(file)?.push(remark(found, file));
        }
      }
    }
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
  return remarks;
}

async function run(
  args: readonly string[],
  directory: string,
  signal: AbortSignal,
): Promise<readonly SquawkFinding[]> {
  const { exitCode, stdout, stderr } = await runProgram(
    squawkBinary(),
    ["--reporter=json", `--exclude=${takenCareOf.join(",")}`, ...args],
    { cwd: directory, signal },
  );
  // 1: there are findings.
  if (exitCode > 1 || !stdout.startsWith("[")) {
    throw new OpsError("E_SQUAWK", `squawk ended with exit code ${exitCode}`, { cause: stderr.trim() });
  }
  const findings: readonly SquawkFinding[] = JSON.parse(stdout);
  return findings.filter((each) => each.rule_name !== syntaxRule);
}

/** Inside the package for this platform, which npm installs beside the package itself: nothing is downloaded later. */
function squawkBinary(): string {
  const { platform, arch } = process;
  const inside = createRequire(createRequire(import.meta.url).resolve("squawk-cli/package.json"));
  try {
    return inside.resolve(`@squawk-cli/${platform}-${arch}/bin/squawk${platform === "win32" ? ".exe" : ""}`);
  } catch (cause) {
    throw new OpsError("E_PROGRAM_MISSING", `squawk is not installed for ${platform}-${arch}`, {
      cause,
      hint: "install ops with its optional dependencies: npm install --include=optional",
      retryable: false,
    });
  }
}

function remark(found: SquawkFinding, file: SqlFile): Remark {
  const lines = file.sql.split("\n");
  const before = lines.slice(0, found.line).reduce((sum, line) => sum + line.length + 1, 0);
  const column = Buffer.from(lines[found.line] ?? "")
    .subarray(0, found.column)
    .toString().length;
  return {
    rule: found.rule_name,
    severity: found.level === "Error" ? "error" : "warning",
    message: found.message,
    instead: found.help,
    index: before + column,
  };
}
