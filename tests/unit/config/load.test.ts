import { mkdir, mkdtemp, realpath, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { inspect } from "node:util";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { loadConfig } from "../../../src/config/load.ts";
import { Secret } from "../../../src/config/secret.ts";
import { settings } from "../../../src/config/show.ts";
import { redact } from "../../../src/core/redaction.ts";
import { failure } from "../../support/journal-contract.ts";

let folder: string;

beforeEach(async () => {
  folder = await realpath(await mkdtemp(join(tmpdir(), "ops-config-")));
});

afterEach(() => rm(folder, { recursive: true, force: true }));

const write = (name: string, text: string) => writeFile(join(folder, name), text);
const load = (variables: Record<string, string> = {}, file?: string) =>
  loadConfig({ cwd: folder, variables, file });

describe("where the configuration comes from", () => {
  it("is the nearest .opsrc upwards", async () => {
    await write(".opsrc", "state-dir: here\n");
    await mkdir(join(folder, "deep/er"), { recursive: true });

    const config = await loadConfig({ cwd: join(folder, "deep/er"), variables: {} });

    expect(config.stateDirectory).toBe(join(folder, "here"));
  });

  it("is --config before OPS_CONFIG before what is found", async () => {
    for (const name of [".opsrc", "variable.yaml", "flag.yaml"])
      await write(name, `state-dir: ${name}-state\n`);
    const variables = { OPS_CONFIG: "variable.yaml" };

    expect((await load()).stateDirectory).toBe(join(folder, ".opsrc-state"));
    expect((await load(variables)).stateDirectory).toBe(join(folder, "variable.yaml-state"));
    expect((await load(variables, "flag.yaml")).stateDirectory).toBe(join(folder, "flag.yaml-state"));
  });

  it.each([
    ["c.json", '{ "databases": { "main": { "url": "postgresql://db/x" } } }'],
    ["package.json", '{ "name": "x", "ops": { "databases": { "main": { "url": "postgresql://db/x" } } } }'],
    ["c.ts", 'export default { databases: { main: { url: "postgresql://db/x" as string } } };'],
    ["c.yaml", "databases: { main: { url: postgresql://db/x } }"],
  ])("may be %s", async (name, text) => {
    await write(name, text);

    expect((await load({}, name)).environment().database().url.shown).toBe("postgresql://db/x");
  });

  it("may be nothing but OPS_DATABASE_URL", async () => {
    const config = await load({ OPS_DATABASE_URL: "postgresql://db/x" }, undefined);

    expect(config.environment().database("main").url.shown).toBe("postgresql://db/x");
  });

  it("blames OPS_DATABASE_URL, not the file, for what is wrong with it", async () => {
    expect(await failure(load({ OPS_DATABASE_URL: "mysql://db" }))).toMatchObject({
      code: "E_CONFIG",
      message: expect.stringMatching(/OPS_DATABASE_URL must be a connection URL/),
    });
  });
});

describe("which value counts", () => {
  const file = `
default-environment: staging
databases:
  main: { url: postgresql://shared/x, migrations: db }
environments:
  staging: {}
  production:
    databases:
      main: { url: postgresql://own/x }
`;

  it("of the environment: --env, then OPS_ENV, then default-environment", async () => {
    await write(".opsrc", file);

    expect((await load()).environment().name).toBe("staging");
    expect((await load({ OPS_ENV: "production" })).environment().name).toBe("production");
    expect((await load({ OPS_ENV: "production" })).environment("staging").name).toBe("staging");
  });

  it("of the state folder: OPS_STATE_DIR, then the file, then .ops", async () => {
    expect((await load()).stateDirectory).toBe(join(folder, ".ops"));
    await write(".opsrc", "state-dir: mine\n");
    expect((await load()).stateDirectory).toBe(join(folder, "mine"));
    expect((await load({ OPS_STATE_DIR: "other" })).stateDirectory).toBe(join(folder, "other"));
  });

  it("of a target: the environment's own keys over the shared ones", async () => {
    await write(".opsrc", file);

    const main = (await load()).environment("production").database();

    expect(main.url.shown).toBe("postgresql://own/x");
    expect(main.migrations).toBe(join(folder, "db"));
  });

  it("is told with its origin", async () => {
    await write(".opsrc", file);
    const config = await load();

    const origins = Object.fromEntries(
      settings(config, "production", {}).map(({ path, origin }) => [path, origin]),
    );

    expect(origins).toMatchObject({
      "state-dir": "default",
      "databases.main.url": expect.stringMatching(/\.opsrc:9$/),
      "databases.main.migrations": expect.stringMatching(/\.opsrc:4$/),
    });
  });

  it("without a default among several environments is a question", async () => {
    await write(".opsrc", "environments: { a: {}, b: {} }\n");
    const config = await load();

    expect(() => config.environment()).toThrow(
      expect.objectContaining({ code: "E_ENVIRONMENT", hint: "add --env with one of: a, b" }),
    );
  });
});

describe("what `config show` prints", () => {
  it("never holds a secret", async () => {
    await write(
      ".opsrc",
      `
databases:
  main: { url: "postgresql://app:open-sesame@db/x", password: plain-password }
  other: { url: env:OTHER_URL }
stores:
  local: { url: "file:backups", identity: AGE-SECRET-KEY-1QQQQQQ }
notifications:
  team:
    url: https://example.com
    headers: { Authorization: Bearer a-plain-token, X-Token: env:TEAM_TOKEN, X-Tenant: shop }
`,
    );

    const shown = settings(await load(), "default", {});

    expect(JSON.stringify(shown)).not.toMatch(/open-sesame|plain-password|SECRET-KEY|plain-token/);
    const header = (name: string) => shown.find(({ path }) => path.endsWith(`headers.${name}`))?.value;
    expect(["Authorization", "X-Token", "X-Tenant"].map(header)).toEqual(["***", "env:TEAM_TOKEN", "shop"]);
    expect(shown.find(({ path }) => path === "databases.main.url")?.value).toBe("postgresql://app:***@db/x");
    expect(shown.find(({ path }) => path === "databases.main.password")?.value).toBe("***");
    expect(shown.find(({ path }) => path === "databases.other.url")?.value).toBe("env:OTHER_URL");
  });
});

describe("a secret", () => {
  it("is read from a file beside the configuration, and known to the redaction from then on", async () => {
    await write("key.txt", "violet-elephant\n");

    expect(await new Secret("file:key.txt", folder).reveal()).toBe("violet-elephant");
    expect(redact("it is violet-elephant")).toBe("it is ***");
  });

  it("is what a command prints", async () => {
    expect(await new Secret("cmd:printf 'orange-%s' giraffe", folder).reveal()).toBe("orange-giraffe");
    expect(redact("orange-giraffe")).toBe("***");
  });

  it("is an environment variable", async () => {
    process.env.OPS_TEST_SECRET = "yellow-camel";
    try {
      expect(await new Secret("env:OPS_TEST_SECRET", folder).reveal()).toBe("yellow-camel");
    } finally {
      delete process.env.OPS_TEST_SECRET;
    }
  });

  it.each([
    ["env:OPS_TEST_NOT_SET", /OPS_TEST_NOT_SET is not set/, "set it: export OPS_TEST_NOT_SET=…"],
    ["file:missing.txt", /the file cannot be read/, expect.stringContaining("mend the path")],
    ["cmd:echo from-the-vault >&2; exit 7", /the command failed \(exit code 7\)/, expect.any(String)],
    ["cmd:true", /it is empty/, expect.any(String)],
  ])("that cannot be had is named: %s", async (reference, message, hint) => {
    const refused = await failure(new Secret(reference, folder).reveal());

    expect(refused).toMatchObject({
      code: "E_SECRET",
      exitCode: 2,
      message: expect.stringMatching(message),
      hint,
    });
  });

  it("prints as *** in every form", () => {
    const secret = new Secret("plain", folder);

    expect([String(secret), JSON.stringify({ secret }), inspect({ secret })]).toEqual([
      "***",
      '{"secret":"***"}',
      "{ secret: *** }",
    ]);
  });
});
