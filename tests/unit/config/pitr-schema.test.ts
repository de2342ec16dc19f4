import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { loadConfig } from "../../../src/config/load.ts";

let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "ops-config-"));
});

afterEach(() => rm(folder, { recursive: true, force: true }));

async function load(pitr: string) {
  await writeFile(
    join(folder, ".opsrc"),
    `databases: { main: { url: "postgresql://db/x", pitr: ${pitr} } }\nstores: { one: { url: "file:a" }, two: { url: "file:b" } }\n`,
  );
  return loadConfig({ cwd: folder, variables: {} });
}

describe("databases.NAME.pitr", () => {
  it.each([
    ["{ store: two }", ["two"]],
    ["{ stores: [two, one] }", ["two", "one"]],
  ])("%s names the stores", async (pitr, stores) => {
    const target = (await load(pitr)).environment().database().pitr;

    expect(target).toMatchObject({
      engine: "ops",
      compression: 3,
      stores: stores.map((name) => ({ name })),
    });
  });

  it.each([
    ["{ engine: pgbackrest }", "pgbackrest", undefined, "main", 1],
    [
      "{ engine: pgbackrest, command: bin/pgbackrest, config: a.conf, stanza: x, repository: 2 }",
      "bin/pgbackrest",
      "a.conf",
      "x",
      2,
    ],
  ])("%s names a stanza of pgBackRest", async (pitr, command, config, stanza, repository) => {
    const target = (await load(pitr)).environment().database().pitr;

    expect(target).toMatchObject({
      engine: "pgbackrest",
      command: command.includes("/") ? join(folder, command) : command,
      config: config && join(folder, config),
      stanza,
      repository,
    });
  });

  it.each([
    ["{ store: tow }", 'there is no store "tow"', "two"],
    ["{ stores: [one, three] }", 'there is no store "three"', "one"],
    ["{ stores: [one, one] }", 'names the store "one" twice', ""],
    ["{ store: one, stores: [two] }", "excludes", "stores: [one, two]"],
    ["{ store: one, compression: 20 }", "must be at most 19", ""],
    ["{ store: one, engine: barman }", '"ops" or "pgbackrest"', ""],
    ["{ store: one, engine: pgbackrest }", "is not for the engine pgbackrest", "write engine: ops"],
    ["{ store: one, stanza: main }", "is not for the engine ops", "write engine: pgbackrest"],
    ["{ engine: pgbackrest, stanza: a/b }", "must be letters, digits, _ and -", ""],
    ["{ engine: pgbackrest, window: 14d }", "is not for the engine pgbackrest", ""],
    ["{ engine: pgbackrest, repository: 0 }", "must be 1 or more", ""],
  ])("%s is refused at its place", async (pitr, message, hint) => {
    const error = await load(pitr).then(
      () => undefined,
      (thrown: Error) => thrown,
    );

    expect(error).toMatchObject({ code: "E_CONFIG", exitCode: 2 });
    expect(error?.message).toContain(message);
    expect(error?.message).toContain(hint);
  });
});
