import type { Command } from "commander";
import { loadConfig } from "../config/load.ts";
import { settings } from "../config/show.ts";
import { ExitCode } from "../core/errors.ts";
import { type CommonOptions, commonOptions } from "./options.ts";
import { table } from "./render/table.ts";
import type { Terminal } from "./terminal.ts";

export function configCommand(command: Command, terminal: Terminal, ended: (code: ExitCode) => void): void {
  const show = command.command("show").description("Each value and where it came from, secrets masked");
  commonOptions(show, { changes: false })
    .addHelpText("after", "\nExample:\n  $ ops config show --env production")
    .action(async () => {
      const options = show.opts<CommonOptions>();
      const config = await loadConfig({ file: options.config, cwd: process.cwd(), variables: process.env });
      const { name } = config.environment(options.env);
      const all = settings(config, name, process.env);
      if (options.json === true) {
        terminal.out(
          JSON.stringify({ file: config.file ?? null, environment: name, settings: all }, null, 2),
        );
      } else {
        const { color } = terminal;
        terminal.out(color.dim(`${config.file ?? "no configuration file"}, environment ${name}`));
        const rows = all.map(({ path, value, origin }) => [
          path,
          typeof value === "string" ? value : JSON.stringify(value),
          color.dim(origin),
        ]);
        terminal.out(table(["KEY", "VALUE", "FROM"], rows));
      }
      ended(ExitCode.done);
    });
}
