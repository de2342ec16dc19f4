import type { ServerUser } from "../postgres/unprivileged.ts";
import type { RestoreFolder } from "./restore-folder.ts";
import type { RestoreTarget } from "./restore-target.ts";

export interface Recovery {
  readonly target: RestoreTarget;
  readonly timeline: number;
  readonly action: "pause" | "promote";
  readonly restoreCommand: string;
}

const begin = "# ops pitr restore: from here on";
const earlier =
  /^(restore_command|primary_conninfo|archive_cleanup_command|recovery_(target\w*|end_command|min_apply_delay))\s*=|^# ops pitr restore/;

/**
 * The settings of the recovery behind those that the backup has, of which the last one counts; again and again the
 * same. `archive_mode` is off, and subscriptions rest: a copy must not write into the archive of its original, nor take
 * what is sent to it.
 */
export async function writeRecovery(
  folder: RestoreFolder,
  recovery: Recovery,
  user: ServerUser,
): Promise<void> {
  const settings = (await folder.read("postgresql.auto.conf")) ?? "";
  // What an earlier recovery of this cluster left: two targets are one too many.
  const lines = settingLines(recoverySettings(recovery));
  const before = settings
    .split("\n")
    .filter((line) => !earlier.test(line) && !lines.includes(line))
    .join("\n");
  const text = `${before.trimEnd()}\n${begin}\n${lines.join("\n")}\n`;
  await folder.write("postgresql.auto.conf", text, user);
  // Debian and others keep these outside of the data folder, where no base backup looks.
  for (const [file, content] of Object.entries(missingFiles)) {
    if ((await folder.read(file)) === undefined) await folder.write(file, content, user);
  }
  // A base backup of a standby has its signal, with which the server would wait for more WAL for ever.
  await folder.discard("standby.signal");
  await folder.write("recovery.signal", "", user);
}

/**
 * Takes away what an attempt that was killed has written beside the files of the backup: pg_verifybackup knows none of
 * it, and would take the backup for damaged.
 */
export async function removeRecovery(folder: RestoreFolder): Promise<void> {
  for (const file of ["postgresql.auto.conf", "recovery.signal", ...Object.keys(missingFiles)]) {
    await folder.discardUnfinished(file);
  }
  for (const file of Object.keys(missingFiles)) {
    if ((await folder.read(file))?.startsWith(written) === true) await folder.discard(file);
  }
}

/** As in postgresql.conf. */
export function recoverySettings({
  target,
  timeline,
  action,
  restoreCommand,
}: Recovery): Record<string, string> {
  return {
    archive_mode: "off",
    // A copy's subscriptions would take from its original's slots what the original then never gets.
    max_logical_replication_workers: "0",
    hot_standby: "on",
    restore_command: restoreCommand,
    // The original's could clean its archive up, or tell the world that a standby takes over.
    archive_cleanup_command: "",
    // What wal fetch has read ahead; the command runs in the data folder.
    recovery_end_command: "rm -rf pg_wal/ops-spool",
    recovery_min_apply_delay: "0",
    ...targetSettings(target),
    recovery_target_timeline: String(timeline),
    recovery_target_action: action,
  };
}

/** Of which the server takes one. */
const targets = [
  "recovery_target",
  "recovery_target_lsn",
  "recovery_target_name",
  "recovery_target_time",
  "recovery_target_xid",
];

/** What an earlier recovery left in postgresql.conf would end this one: all others are nothing, and come first. */
function targetSettings(target: RestoreTarget): Record<string, string> {
  const wanted = wantedTarget(target);
  const others = targets.filter((each) => !(each in wanted)).map((each) => [each, ""] as const);
  return { ...Object.fromEntries(others), ...wanted };
}

function wantedTarget(target: RestoreTarget): Record<string, string> {
  switch (target.kind) {
    case "latest":
      return {};
    case "time":
      // The setting does not read all of RFC 3339, to which PostgreSQL's own form is close.
      return {
        recovery_target_time: target.time.replace("T", " ").replace(/Z$/, "+00"),
        recovery_target_inclusive: "true",
      };
    case "lsn":
      // What begins at the position is later than it.
      return { recovery_target_lsn: target.lsn, recovery_target_inclusive: "false" };
    case "transaction":
      // The setting has 32 bits.
      return {
        recovery_target_xid: String(BigInt.asUintN(32, BigInt(target.transaction))),
        recovery_target_inclusive: "true",
      };
    case "name":
      return { recovery_target_name: target.name };
  }
}

const written = "# Written by ops pitr restore: the cluster's own was not in its data folder.\n";
const missingFiles: Record<string, string> = {
  "postgresql.conf": written,
  "pg_hba.conf": `${written}local all all peer\nhost all all 127.0.0.1/32 scram-sha-256\nhost all all ::1/128 scram-sha-256\n`,
  "pg_ident.conf": written,
};

/** As a configuration file of the server has them. */
export function settingLines(settings: Readonly<Record<string, string>>): string[] {
  return Object.entries(settings).map(
    ([key, value]) => `${key} = '${value.replaceAll("\\", "\\\\").replaceAll("'", "''")}'`,
  );
}
