import { access, constants, stat } from "node:fs/promises";
import { delimiter, join, resolve } from "node:path";
import { OpsError } from "../core/errors.ts";

/**
 * The absolute path of what running `program` would start: a path as it is (relative to `directory`), a bare name
 * from PATH. Throws `E_PROGRAM_MISSING`.
 */
export async function requireProgram(program: string, directory: string): Promise<string> {
  const found = await findProgram(program, directory);
  if (found !== undefined) return found;
  const why = program.includes("/") ? "is not there or not executable" : "is not on PATH";
  throw new OpsError("E_PROGRAM_MISSING", `The program ${program} ${why}`, {
    hint: "install it, or write the path of the program",
    retryable: false,
  });
}

async function findProgram(program: string, directory: string): Promise<string | undefined> {
  const candidates = program.includes("/")
    ? [resolve(directory, program)]
    : (process.env.PATH ?? "")
        .split(delimiter)
        .filter((each) => each !== "")
        .map((each) => join(each, program));
  for (const candidate of candidates) if (await isProgram(candidate)) return candidate;
  return undefined;
}

async function isProgram(path: string): Promise<boolean> {
  try {
    await access(path, constants.X_OK);
    return (await stat(path)).isFile();
  } catch {
    return false;
  }
}
