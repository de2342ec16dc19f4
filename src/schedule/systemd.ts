import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { dirname, join } from "node:path";
import { OpsError } from "../core/errors.ts";
import { runProgram } from "../process/run-program.ts";
import { type Call, callId } from "./call.ts";

/** File name → text. */
export type Units = Readonly<Record<string, string>>;

/** systemd.unit(5): where a user's own units are. */
export function unitFolder(): string {
  return join(process.env.XDG_CONFIG_HOME || join(homedir(), ".config"), "systemd", "user");
}

/**
 * A service and a timer for each schedule: systemd starts no unit that is active, so one service for all would make
 * every schedule wait for the longest run.
 */
export function unitsOf(call: Call, schedules: readonly string[]): Units {
  return Object.fromEntries(
    schedules.flatMap((schedule) => {
      const unit = `ops-${call.environment}-${schedule}-${callId(call)}`;
      return [
        [`${unit}.service`, service(call, schedule)],
        [`${unit}.timer`, timer(call, schedule)],
      ];
    }),
  );
}

/** The units of this configuration and environment that are there now, also of schedules that are no more. */
export function installedUnits(folder: string, call: Pick<Call, "file" | "environment">): Units {
  if (!existsSync(folder)) return {};
  const own = new RegExp(`^ops-.*-${callId(call)}\\.(service|timer)$`);
  const files = readdirSync(folder).filter((each) => own.test(each));
  return Object.fromEntries(files.sort().map((file) => [file, readFileSync(join(folder, file), "utf8")]));
}

/** Makes the folder hold exactly these of ours. Each file appears whole; calling it again finishes it. */
export function writeUnits(folder: string, call: Pick<Call, "file" | "environment">, units: Units): void {
  mkdirSync(folder, { recursive: true });
  for (const [file, text] of Object.entries(units)) {
    const own = join(folder, `.${file}.${process.pid}`);
    writeFileSync(own, text);
    renameSync(own, join(folder, file));
  }
  for (const file of Object.keys(installedUnits(folder, call)))
    if (!Object.hasOwn(units, file)) rmSync(join(folder, file), { force: true });
}

/** Timers in a set of units. */
export function timersIn(units: Units): string[] {
  return Object.keys(units).filter((each) => each.endsWith(".timer"));
}

/** Throws `E_SYSTEMD` where this user's systemd is not there or says no. */
export async function systemctl(...args: readonly string[]): Promise<void> {
  const bus = ["XDG_RUNTIME_DIR", "DBUS_SESSION_BUS_ADDRESS"].flatMap((name) => {
    const value = process.env[name];
    return value === undefined ? [] : [[name, value] as const];
  });
  const { exitCode, stderr } = await runProgram("systemctl", ["--user", ...args], {
    env: Object.fromEntries(bus),
  });
  if (exitCode === 0) return;
  throw new OpsError("E_SYSTEMD", `systemctl --user ${args.join(" ")} failed`, {
    cause: stderr.trim(),
    hint: "log in as this user (or set XDG_RUNTIME_DIR), or add --no-start to write the files only",
  });
}

function service(call: Call, schedule: string): string {
  const settings = Object.entries(call.variables).map(
    ([name, value]) => `Environment=${quoted(`${name}=${value}`)}`,
  );
  const command = [...call.command, schedule].map((each) => quoted(each).replaceAll("$", "$$$$"));
  return `${header(call)}
[Unit]
Description=ops schedule ${schedule} (${escaped(call.environment)})
Documentation=man:systemd.service(5)

[Service]
Type=oneshot
WorkingDirectory=${escaped(dirname(call.file))}
${settings.join("\n")}
ExecStart=${command.join(" ")}
# The first signal is for ops alone, which ends its run at a safe point.
KillMode=mixed
TimeoutStopSec=90
`;
}

function timer(call: Call, schedule: string): string {
  return `${header(call)}
[Unit]
Description=Every minute: is ops schedule ${schedule} (${escaped(call.environment)}) due?

[Timer]
OnCalendar=minutely
AccuracySec=1s

[Install]
WantedBy=timers.target
`;
}

function header({ file }: Call): string {
  return `# Written by ops schedule install --systemd from ${file}; taken out by ops schedule uninstall --systemd`;
}

/** systemd.unit(5), specifiers. */
function escaped(text: string): string {
  return text.replaceAll("%", "%%");
}

/** systemd.service(5), command lines. */
function quoted(text: string): string {
  return `"${escaped(text).replaceAll("\\", "\\\\").replaceAll('"', '\\"')}"`;
}
