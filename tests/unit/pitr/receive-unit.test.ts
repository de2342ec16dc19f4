import { expect, it } from "vitest";
import { Environment } from "../../../src/config/environment.ts";
import { environmentSchema } from "../../../src/config/schema.ts";
import { receiveUnit } from "../../../src/pitr/receive-unit.ts";

it("the unit of wal receive names this very command and configuration, with what systemd replaces doubled", () => {
  const directory = "/srv/a $HOME %h";
  const environment = new Environment("live", directory, environmentSchema.parse({}), `${directory}/.opsrc`);

  const { name, text } = receiveUnit(environment, "main");

  expect(name).toBe("ops-wal-receive-main.service");
  expect(text).toContain("\nWorkingDirectory=/srv/a $HOME %%h\n");
  expect(text).toMatch(
    /\nExecStart=\S+ \S+\/bin\/ops wal receive --database main --create-slot --env live --config "\/srv\/a \$\$HOME %%h\/.opsrc"\n/,
  );
});
