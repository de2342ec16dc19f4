import type { Environment } from "../config/environment.ts";
import { launcher } from "../process/launcher.ts";

/** A systemd service of `ops wal receive`; `deploy/systemd/ops-wal-receive.service` explains it. */
export interface ReceiveUnit {
  /** `ops-wal-receive-main.service` */
  readonly name: string;
  readonly text: string;
}

export function receiveUnit(environment: Environment, database: string): ReceiveUnit {
  const command = [
    ...launcher(),
    ...["wal", "receive", "--database", database, "--create-slot", "--env", environment.name],
    ...(environment.file === undefined ? [] : ["--config", environment.file]),
  ];
  const lines = [
    "[Unit]",
    `Description=ops wal receive ${database}`,
    "Wants=network-online.target",
    "After=network-online.target",
    "",
    "[Service]",
    "Type=exec",
    "User=ops",
    `WorkingDirectory=${environment.directory.replaceAll("%", "%%")}`,
    "EnvironmentFile=-/etc/ops/environment",
    `ExecStart=${command.map(word).join(" ")}`,
    "Restart=always",
    "RestartSec=15",
    "KillMode=mixed",
    "TimeoutStopSec=90",
    "NoNewPrivileges=yes",
    "PrivateTmp=yes",
    "",
    "[Install]",
    "WantedBy=multi-user.target",
  ];
  return { name: `ops-wal-receive-${database}.service`, text: `${lines.join("\n")}\n` };
}

/** systemd.service(5), command lines: `%` and `$` begin what systemd replaces. */
function word(text: string): string {
  const escaped = text.replaceAll("%", "%%").replaceAll("$", "$$$$");
  if (/^[\w./:=@+,%$-]+$/.test(escaped)) return escaped;
  return `"${escaped.replaceAll("\\", "\\\\").replaceAll('"', '\\"')}"`;
}
