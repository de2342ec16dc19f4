import {
  access,
  chmod,
  chown,
  constants,
  open,
  readFile,
  realpath,
  rename,
  rm,
  stat,
} from "node:fs/promises";
import { dirname } from "node:path";
import { causeText, OpsError, UsageError } from "../core/errors.ts";
import { runProgram } from "../process/run-program.ts";

/** What is needed to check a haproxy.cfg before it is used. */
export interface ConfigurationCheck {
  /** `{file}` stands for the path of the file to check. */
  readonly command: readonly string[];
  readonly directory: string;
  readonly signal: AbortSignal;
}

/** HAProxy's usual places, which are not on everybody's PATH. */
export const programPath = () => ({ PATH: `${process.env.PATH ?? ""}:/usr/local/sbin:/usr/sbin:/sbin` });

/** Throws `E_POOL_SECTION` (usage) where it cannot be read. */
export async function readConfiguration(file: string): Promise<string> {
  try {
    return await readFile(file, "utf8");
  } catch (error) {
    throw new UsageError("E_POOL_SECTION", `The configuration ${file} of HAProxy cannot be read`, {
      cause: causeText(error),
      hint: 'correct "file" of the pool\'s "configuration" in .opsrc, or run as a user that may read it',
    });
  }
}

/** Milliseconds that a check may take. */
const checkLimit = 60_000;

/**
 * Puts a new text in the place of a configuration, in one step and on the disk, after HAProxy has found it valid. Owner
 * and rights stay. Throws `E_HAPROXY_CONFIGURATION` where it is not valid and `E_POOL_DRIFT` where somebody wrote the
 * file meanwhile; then it is as it was.
 */
export async function replaceConfiguration(
  file: string,
  present: string,
  wanted: string,
  check: ConfigurationCheck,
): Promise<void> {
  const real = await realpath(file);
  await mayWriteBeside(real, file);
  const candidate = candidateOf(real);
  await rm(candidate, { force: true });
  try {
    const { mode, uid, gid } = await stat(real);
    const handle = await open(candidate, "wx", 0o600);
    try {
      await handle.writeFile(wanted);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await chmod(candidate, mode & 0o7777);
    const own = await stat(candidate);
    if (own.uid !== uid || own.gid !== gid) await chown(candidate, uid, gid);
    await checkConfiguration(candidate, file, check);
    if ((await readFile(real, "utf8")) !== present) {
      throw new OpsError("E_POOL_DRIFT", `Somebody changed ${file} meanwhile`, {
        hint: "see what it is now, and begin again",
        retryable: false,
      });
    }
    await rename(candidate, real);
  } catch (error) {
    throw isFileError(error) ? notReplaced(file, error) : error;
  } finally {
    await rm(candidate, { force: true });
  }
}

/** A fixed name: what a crash leaves is found again. It does not end in .cfg, which HAProxy would load from a folder. */
const candidateOf = (real: string) => `${real}.ops-new`;

/** What a kill in the middle of a check has left. */
export async function removeCandidate(file: string): Promise<void> {
  await rm(candidateOf(await realpath(file)), { force: true });
}

async function mayWriteBeside(real: string, file: string): Promise<void> {
  try {
    await access(dirname(real), constants.W_OK);
  } catch (error) {
    throw notReplaced(file, error);
  }
}

function isFileError(error: unknown): boolean {
  return error instanceof Error && "syscall" in error && "code" in error;
}

function notReplaced(file: string, cause: unknown): OpsError {
  return new OpsError("E_HAPROXY_CONFIGURATION", `This user cannot replace ${file}`, {
    cause: causeText(cause),
    hint: "nothing was changed; run as a user that may write the file's folder, and give the file its owner",
    retryable: false,
  });
}

async function checkConfiguration(
  candidate: string,
  file: string,
  { command, directory, signal }: ConfigurationCheck,
): Promise<void> {
  const [program = "", ...args] = command.map((word) => word.replaceAll("{file}", candidate));
  const { exitCode, stdout, stderr } = await runProgram(program, args, {
    cwd: directory,
    env: programPath(),
    signal: AbortSignal.any([signal, AbortSignal.timeout(checkLimit)]),
  });
  if (exitCode === 0) return;
  const said = `${stderr}\n${stdout}`.split("\n").filter((line) => /ALERT|error/i.test(line));
  throw new OpsError(
    "E_HAPROXY_CONFIGURATION",
    `HAProxy does not take the new ${file}: ${said[0]?.replaceAll(candidate, file).trim() ?? `the check ended with ${exitCode}`}`,
    {
      hint: `nothing was changed; see what it says of the present one: ${command.join(" ").replaceAll("{file}", file)}`,
      details: { exitCode, said: said.slice(0, 20).map((line) => line.replaceAll(candidate, file)) },
      retryable: false,
    },
  );
}
