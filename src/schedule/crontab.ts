import { OpsError, UsageError } from "../core/errors.ts";
import { runProgram } from "../process/run-program.ts";
import type { Call } from "./call.ts";

/** cron's own limit is 998 characters for a command (Debian's cron 3.0, MAX_COMMAND). */
const longestCommand = 990;

/** The lines of one configuration and environment, with the markers around them. */
export function cronBlock(call: Call): string {
  const settings = Object.entries(call.variables).map(([name, value]) => `${name}=${quoted(value)}`);
  const command = ["/usr/bin/env", ...settings, ...call.command.map(quoted), "--quiet"].join(" ");
  // cron takes a bare % for the end of the line.
  const escaped = command.replaceAll("%", "\\%");
  if (escaped.length > longestCommand || /[\r\n]/.test(escaped)) {
    throw new UsageError("E_CRONTAB", "The line would be too long for cron, or have a line break in it", {
      hint: "install with a short PATH: env PATH=/usr/local/bin:/usr/bin:/bin ops schedule install --cron",
    });
  }
  const { begin, end } = markers(call);
  return `${begin}\n# Written by ops schedule install --cron; taken out by ops schedule uninstall --cron\n* * * * * ${escaped}\n${end}\n`;
}

/** The block of a configuration in a crontab, markers included; undefined where there is none. Throws `E_CRONTAB`. */
export function findBlock(crontab: string, call: Pick<Call, "file" | "environment">): string | undefined {
  const { begin, end } = markers(call);
  const lines = crontab.split("\n");
  const first = lines.indexOf(begin);
  const last = lines.indexOf(end);
  if (first === -1 && last === -1) return undefined;
  if (first === -1 || last < first || lines.lastIndexOf(begin) !== first || lines.lastIndexOf(end) !== last) {
    throw new OpsError(
      "E_CRONTAB",
      `The crontab's block of ops is damaged: "${begin}" and its end do not match`,
      {
        hint: "take the block out by hand (crontab -e), then install again",
        retryable: false,
      },
    );
  }
  return `${lines.slice(first, last + 1).join("\n")}\n`;
}

/** The crontab with its block set to `block`, or without one; every other line stays as it is. */
export function withBlock(
  crontab: string,
  call: Pick<Call, "file" | "environment">,
  block: string | undefined,
): string {
  const old = findBlock(crontab, call);
  if (old !== undefined) {
    const closed = crontab.endsWith("\n") ? crontab : `${crontab}\n`;
    return closed.replace(old, () => block ?? "");
  }
  if (block === undefined) return crontab;
  return `${crontab === "" || crontab.endsWith("\n") ? crontab : `${crontab}\n`}${block}`;
}

/** This user's crontab; empty where there is none. Throws `E_CRONTAB`, or `E_PROGRAM_MISSING` without cron. */
export async function readCrontab(): Promise<string> {
  const { exitCode, stdout, stderr } = await runProgram("crontab", ["-l"]);
  if (exitCode === 0) return stdout === "" ? "" : `${stdout}\n`;
  if (/no crontab for/i.test(stderr)) return "";
  throw refused("read", stderr);
}

/** Throws `E_CRONTAB`; cron's own program replaces the file as a whole. */
export async function writeCrontab(text: string): Promise<void> {
  const { exitCode, stderr } = await runProgram("crontab", ["-"], { input: text });
  if (exitCode !== 0) throw refused("written", stderr);
}

function refused(what: string, stderr: string): OpsError {
  return new OpsError("E_CRONTAB", `This user's crontab cannot be ${what}`, {
    cause: stderr.trim(),
    hint: "see whether this user may use cron: /etc/cron.allow, /etc/cron.deny",
  });
}

function markers({ file, environment }: Pick<Call, "file" | "environment">) {
  return {
    begin: `# >>> ops schedules of ${file} (${environment})`,
    end: `# <<< ops schedules of ${file} (${environment})`,
  };
}

/** For a POSIX shell. */
function quoted(text: string): string {
  return /^[\w@+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}
