import type { Command } from "commander";
import type { Config } from "../config/config.ts";
import { loadConfig } from "../config/load.ts";
import { ExitCode } from "../core/errors.ts";
import { diagnose, needsMending, renderFindings } from "../doctor/diagnose.ts";
import { type CommonOptions, commonOptions } from "./options.ts";
import { allChecks } from "./session.ts";
import type { Terminal } from "./terminal.ts";

export function doctorCommand(command: Command, terminal: Terminal, ended: (code: ExitCode) => void): void {
  commonOptions(command, { changes: false })
    .addHelpText("after", "\nExample:\n  $ ops doctor --env production")
    .action(async () => {
      const options = command.opts<CommonOptions>();
      const loaded = await attempt(() =>
        loadConfig({ file: options.config, cwd: process.cwd(), variables: process.env }),
      );
      const environment =
        loaded.value === undefined
          ? undefined
          : await attempt(async () => (loaded.value as Config).environment(options.env));
      const findings = await diagnose({
        environment: environment?.value,
        configError: loaded.error ?? environment?.error,
        stateDirectory: loaded.value?.stateDirectory,
        checks: await allChecks(),
      });
      const mend = needsMending(findings);
      terminal.out(
        options.json === true ? JSON.stringify({ ok: !mend, findings }, null, 2) : renderFindings(findings),
      );
      ended(mend ? ExitCode.failed : ExitCode.done);
    });
}

/** The doctor looks at what it can: an error here is a finding too. */
async function attempt<T>(work: () => Promise<T>): Promise<{ readonly value?: T; readonly error?: unknown }> {
  try {
    return { value: await work() };
  } catch (error) {
    return { error };
  }
}
