import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type OpsResult, ops } from "../support/ops.ts";

let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "ops-output-"));
  await mkdir(join(folder, "migrations"));
  await writeFile(
    join(folder, ".opsrc"),
    [
      "default-environment: staging",
      "databases:",
      "  main: { url: env:SHOP_DATABASE_URL }",
      "  filed: { url: file:no-such-file }",
      "  asked: { url: cmd:exit 3 }",
      'environments: { staging: {}, production: {}, "two": {} }',
      "",
    ].join("\n"),
  );
  await writeFile(
    join(folder, "deploy.yaml"),
    [
      "name: deploy",
      "inputs:",
      "  version: { type: string }",
      "  tries: { type: number, default: 1 }",
      "  colour: { default: blue, options: [blue, green] }",
      "steps:",
      "  - { id: list, uses: flag.list }",
      "",
    ].join("\n"),
  );
});

afterAll(() => rm(folder, { recursive: true, force: true }));

const run = (...args: string[]): Promise<OpsResult> => ops(args, { cwd: folder });
const plan = (...args: string[]): Promise<OpsResult> => run("plan", "deploy.yaml", ...args);

describe("a mistake on the command line ends with exit code 2 and the way out", () => {
  const cases: [string, string[], ...RegExp[]][] = [
    ["an unknown command", ["rnu"], /unknown command 'rnu'/, /→ did you mean run\?/],
    ["an unknown verb", ["backup", "crate"], /unknown command 'crate'/, /→ did you mean create\?/],
    ["an unknown flag", ["plan", "deploy.yaml", "--inptu", "a=1"], /unknown option '--inptu'/, /--input\?/],
    ["a missing argument", ["plan"], /missing required argument 'file'/],
    ["a missing name", ["flag", "set"], /missing required argument 'flag'/],
    [
      "a flag's value of the wrong form",
      ["flag", "set", "x", "--rollout", "10"],
      /--rollout: "10" is not a percentage/,
      /write it with its sign: 10%/,
      /ops flag set --help/,
    ],
    [
      "an unknown environment",
      ["config", "show", "--env", "prod"],
      /no environment "prod"/,
      /"production"\?/,
    ],
    ["a runbook that is not there", ["plan", "depoly.yaml"], /runbook depoly\.yaml cannot be read/],
    [
      "a configuration that is not there",
      ["config", "show", "--config", "no.yaml"],
      /no\.yaml cannot be read/,
    ],
    ["an unknown run", ["runs", "show", "x"], /no run/],
  ];

  it.each(cases)("%s", async (_, args, ...messages) => {
    const { exitCode, stdout, stderr } = await run(...args);

    expect(exitCode).toBe(2);
    expect(stdout).toBe("");
    for (const message of messages) expect(stderr).toMatch(message);
    expect(stderr).not.toMatch(/^ +at /m);
  });

  const inputs: [string, string[], RegExp, RegExp][] = [
    ["missing", [], /needs the input "version"/, /add --input version=…/],
    ["without a value", ["--input", "version"], /takes name=value, not "version"/, /E_USAGE/],
    ["unknown", ["--input", "vresion=2"], /has no input "vresion"/, /did you mean "version"\?/],
    [
      "of the wrong type",
      ["--input", "version=2", "tries=x"],
      /tries must be a number, not "x"/,
      /write a number/,
    ],
    ["outside the options", ["--input", "version=2", "colour=gren"], /colour cannot be "gren"/, /"green"\?/],
  ];

  it.each(inputs)("--input that is %s", async (_, args, message, hint) => {
    const { exitCode, stderr } = await plan(...args);

    expect(exitCode).toBe(2);
    expect(stderr).toMatch(message);
    expect(stderr).toMatch(hint);
  });

  it("--from, --only and --skip of a step that is not there", async () => {
    for (const flag of ["--from", "--only", "--skip"]) {
      const { exitCode, stderr } = await plan("--input", "version=2", flag, "lst");
      expect(exitCode).toBe(2);
      expect(stderr).toMatch(/no step "lst"/);
      expect(stderr).toMatch(/did you mean "list"\?/);
    }
  });
});

describe("a secret that cannot be had", () => {
  it.each([
    ["main", /env:SHOP_DATABASE_URL .* SHOP_DATABASE_URL is not set/, /export SHOP_DATABASE_URL=…/],
    ["filed", /file:no-such-file .* the file cannot be read/, /mend the path/],
    ["asked", /cmd:exit 3 .* the command failed \(exit code 3\)/, /\/bin\/sh -c "exit 3"/],
  ])("of database %s is named by its reference", async (database, message, hint) => {
    const { exitCode, stdout, stderr } = await run("migrate", "status", "--database", database);

    expect(stderr).toMatch(message);
    expect(stderr).toMatch(hint);
    expect(stderr).toContain("(E_SECRET)");
    expect({ exitCode, stdout }).toEqual({ exitCode: 2, stdout: "" });
  });
});

describe("an error for a program", () => {
  it("is one JSON document on standard output, with the same exit code", async () => {
    const plain = await run("config", "show", "--env", "prod");
    const json = await run("config", "show", "--env", "prod", "--json");

    expect(json.exitCode).toBe(plain.exitCode);
    expect(JSON.parse(json.stdout)).toEqual({
      error: {
        code: "E_ENVIRONMENT",
        message: 'There is no environment "prod"',
        hint: 'did you mean "production"?',
        exitCode: 2,
      },
    });
  });

  it("holds every mistake of a broken runbook with its place", async () => {
    await writeFile(
      join(folder, "broken.yaml"),
      "name: b\nsteps:\n  - { id: a, uses: flag.lst, timeout: 5 }\n",
    );

    const { stdout, exitCode } = await run("runbook", "validate", "broken.yaml", "--json");

    expect(exitCode).toBe(2);
    expect(JSON.parse(stdout).error).toMatchObject({
      code: "E_RUNBOOK",
      details: [
        { file: "broken.yaml", line: 3, column: 20, message: 'there is no operation "flag.lst"' },
        { file: "broken.yaml", line: 3, column: 39, message: '"5" is not a duration' },
      ],
    });
  });
});

describe("a stack trace", () => {
  it("is printed with --debug only", async () => {
    const plain = await run("config", "show", "--env", "prod");
    const debug = await run("config", "show", "--env", "prod", "--debug");

    expect(plain.stderr).not.toMatch(/^ +at /m);
    expect(debug.stderr).toMatch(/^ +at /m);
    expect(debug.exitCode).toBe(2);
  });
});
