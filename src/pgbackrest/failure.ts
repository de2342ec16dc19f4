import type { PgBackRestTarget } from "../config/environment.ts";
import { ExitCode, OpsError, type OpsErrorOptions } from "../core/errors.ts";
import { redact } from "../core/redaction.ts";

type Kind = readonly [code: `E_${string}`, hint: string, options?: OpsErrorOptions];

const configured = { exitCode: ExitCode.usage, retryable: false };
const mistake: Kind = [
  "E_PGBACKREST",
  "mend pgbackrest.conf, or the pitr settings of the database",
  configured,
];

/** pgBackRest's exit codes (its error.yaml) that have a way out of their own. */
const kinds: Readonly<Record<number, Kind>> = {
  26: ["E_BACKUP_CORRUPT", "look at the repository with: pgbackrest verify", { retryable: false }],
  27: mistake,
  31: mistake,
  32: mistake,
  33: mistake,
  34: mistake,
  37: mistake,
  38: ["E_PGBACKREST", "a server runs on that folder: stop it first", configured],
  40: ["E_RESTORE_FOLDER", "name a folder that does not exist yet: --target-dir", configured],
  44: ["E_WAL_FOREIGN", "give each cluster a stanza of its own", { retryable: false }],
  49: ["E_PGBACKREST", "look whether the repository's host answers"],
  50: [
    "E_LOCK_HELD",
    "another pgBackRest works on this stanza; try again when it is done: ops pitr base list",
    { exitCode: ExitCode.lockHeld },
  ],
  51: ["E_WAL_FOREIGN", "give each cluster a stanza of its own; after pg_upgrade: pgbackrest stanza-upgrade"],
  55: ["E_PGBACKREST", "look at the path; a stanza is made by: ops pitr setup"],
  56: [
    "E_DATABASE_UNREACHABLE",
    "look at pg1-path, pg1-port, pg1-socket-path and pg1-user in pgbackrest.conf",
  ],
  62: ["E_PGBACKREST", "it was stopped for maintenance; go on with: pgbackrest start"],
  68: ["E_PGBACKREST", "set archive_command with: ops pitr setup"],
  72: ["E_PGBACKREST", "run this command on the machine that pgbackrest.conf names for it"],
  75: ["E_BACKUP_MISSING", "see what there is with: ops pitr base list", configured],
  82: ["E_WAL_MISSING", "look at the archiver: ops wal status; the server's settings: ops pitr setup"],
  87: ["E_PGBACKREST", "turn archiving on with: ops pitr setup"],
  95: ["E_DECRYPT", "look at repo1-cipher-type and repo1-cipher-pass in pgbackrest.conf"],
  103: ["E_PGBACKREST", "look whether the repository can be reached: pgbackrest info"],
};

/** @param said what it complained of: its lines from `ERROR:` on */
export function failureOf(
  { stanza }: PgBackRestTarget,
  command: string,
  exitCode: number,
  said: string,
): OpsError {
  const [code, hint, options] = kinds[exitCode] ?? [
    "E_PGBACKREST",
    "pgBackRest's own log says more; its exit codes are in error.yaml of its source",
  ];
  return new OpsError(code, `pgbackrest ${command} of stanza ${stanza} ended with exit code ${exitCode}`, {
    ...options,
    hint,
    cause: new Error(complaintOf(said)),
    details: { command, stanza, exitCode },
  });
}

/** Its first error without the hints and without what a wrong key makes of a file; at most a few lines. */
export function complaintOf(said: string): string {
  const text = redact(said).replace(/^(?:P\d+ +)?(?:ERROR|WARN): (?:\[\d+\]: )?/gm, "");
  const lines = text
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line !== "" && !line.startsWith("HINT:"));
  const shown = lines.slice(0, 3).join("; ");
  const printable = shown.replace(/[^\P{C}]+|\uFFFD.*$/gu, " ").trim();
  return printable.length > 400 ? `${printable.slice(0, 400)}…` : printable || "it said nothing";
}
