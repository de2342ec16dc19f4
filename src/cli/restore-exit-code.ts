/** Above 125: PostgreSQL ends the server instead of the recovery. */
const failed = 255;
const missing = 1;

/** Whether this is the command that a recovering server gets its log by. */
export function isRestoreCommand(argv: readonly string[]): boolean {
  return argv[0] === "wal" && argv[1] === "fetch";
}

/**
 * A restore_command that fails with 1 to 125 says that there is no such file, and the server then ends its recovery
 * and takes up work: it must never say so for any other reason.
 *
 * @param code of the error that was thrown, if one was
 */
export function restoreExitCode(exitCode: number, code: string | undefined): number {
  if (exitCode === 0) return 0;
  return code === "E_WAL_MISSING" ? missing : failed;
}
