import { rm } from "node:fs/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ExitCode, errorRecord } from "../../../src/core/errors.ts";
import type { Cluster } from "../../../src/postgres/cluster.ts";
import { perform, RecordingReport } from "../../support/context.ts";
import { startTestCluster } from "../../support/postgres.ts";
import { down, Project, shop, status, up } from "./project.ts";

let cluster: Cluster;
beforeAll(async () => {
  cluster = await startTestCluster();
});
afterAll(() => cluster.stop());

async function failure(promise: Promise<unknown>) {
  const error: unknown = await promise.then(
    () => undefined,
    (each) => each,
  );
  if (error === undefined) throw new Error("it did not fail");
  return errorRecord(error);
}

describe("before anything runs", () => {
  test.each([
    [
      "a file that is not named as a migration",
      { "orders.sql": "" },
      "orders.sql is not named as a migration",
      "name it VERSION_NAME.up.sql or VERSION_NAME.down.sql, such as 0001_create_orders.up.sql",
    ],
    [
      "two files with the same number",
      { "0001_a.up.sql": "", "1_b.up.sql": "" },
      "0001_a.up.sql and 1_b.up.sql have the same version",
      "give one of them a newer version",
    ],
    [
      "a way back without a way there",
      { "1_a.down.sql": "" },
      "1_a.down.sql has no file that it takes back",
      "add 1_a.up.sql, or delete it",
    ],
    [
      "two names for one version",
      { "1_a.up.sql": "", "1_b.down.sql": "" },
      "1_a.up.sql and 1_b.down.sql have the same version but not the same name",
      "rename the second to 1_a.down.sql",
    ],
    [
      "a NUL byte, behind which PostgreSQL would read nothing",
      { "1_a.up.sql": "SELECT 1;\0SELECT 2;" },
      "1_a.up.sql is not UTF-8 text",
      "save it as UTF-8 without NUL bytes",
    ],
    [
      "a COMMIT in a file",
      { "1_a.up.sql": "CREATE TABLE a (id int);\n\ncommit;" },
      "1_a.up.sql:3: COMMIT is not allowed in a migration",
      "remove it: each file runs in one transaction of its own, together with its record",
    ],
  ])("%s is refused", async (_, files: Record<string, string>, message, hint) => {
    await using project = await Project.create(cluster, files);
    expect(await failure(perform(up, project.context(), {}))).toMatchObject({
      code: "E_MIGRATIONS",
      message,
      hint,
      exitCode: ExitCode.usage,
    });
    expect((await project.state()).tables).toEqual([]);
  });

  test("all problems are told together", async () => {
    await using project = await Project.create(cluster, shop);
    await perform(up, project.context(), {});
    await project.write({ "0001_orders.up.sql": "SELECT 'edited';" });
    await project.remove("0003_items.up.sql");
    await project.remove("0003_items.down.sql");
    await project.write({ "2.up.sql": "", "00020_x.up.sql": "", "0000_early.up.sql": "BEGIN;" });
    const { code, message, hint, exitCode } = await failure(perform(up, project.context(), {}));
    expect({ code, exitCode, hint }).toEqual({
      code: "E_MIGRATIONS",
      exitCode: ExitCode.usage,
      hint: "mend them all; nothing has been run",
    });
    expect(message).toBe(
      [
        "The migrations of database main have 5 problems:",
        "  2.up.sql is not named as a migration",
        "    = name it VERSION_NAME.up.sql or VERSION_NAME.down.sql, such as 0001_create_orders.up.sql",
        "  0000_early.up.sql is not applied but older than 0003, which is",
        "    = give it a version newer than 0003",
        "  0001_orders.up.sql was changed after it was applied",
        "    = restore the file as it was applied, and write the change as a new migration",
        "  0003_items is applied but has no file",
        "    = restore 0003_items.up.sql, or check out the version of the code that has it",
        "  0000_early.up.sql:1: BEGIN is not allowed in a migration",
        "    = remove it: each file runs in one transaction of its own, together with its record",
      ].join("\n"),
    );
  });

  test("a missing folder is named", async () => {
    await using project = await Project.create(cluster, {});
    const context = project.context();
    const { folder } = project;
    await rm(folder, { recursive: true });
    expect(await failure(perform(status, context, {}))).toMatchObject({
      code: "E_MIGRATION_FOLDER",
      message: `The migrations folder ${folder} cannot be read`,
      hint: 'make the folder, or set "migrations" of the database in .opsrc',
      exitCode: ExitCode.usage,
    });
  });

  test("a role that may not read the history is told what to grant, and that is enough", async () => {
    await using project = await Project.create(cluster, shop);
    await perform(up, project.context(), {});
    const role = `reader_${project.databaseName}`;
    await project.query(`CREATE ROLE ${role}`);
    const url = new URL(project.url);
    url.searchParams.set("options", `-c role=${role}`);
    const context = project.context("run-2", url.href);
    const refused = await failure(perform(status, context, {}));
    expect(refused).toMatchObject({
      code: "E_SQL",
      message: "The history of migrations cannot be read: permission denied for schema ops",
    });
    for (const grant of refused.hint?.replace("as its owner: ", "").split("; ") ?? []) {
      await project.query(grant.replace("ROLE", role));
    }
    await perform(status, context, {});
    await project.query(`DROP OWNED BY ${role}; DROP ROLE ${role}`);
  });

  test("a role that may not make or write the history is told what to grant, and that is enough", async () => {
    await using project = await Project.create(cluster, {
      "1_plain.up.sql": "SELECT 1;",
      "2_by_statement.up.sql": "-- ops: transaction=none\nSELECT 1;",
    });
    const role = `writer_${project.databaseName}`;
    await project.query(`CREATE ROLE ${role}`);
    const url = new URL(project.url);
    url.searchParams.set("options", `-c role=${role}`);
    const context = project.context("run-1", url.href);
    const follow = async ({ hint = "" }: { hint?: string }) => {
      const [, sql = ""] = /^as [^:]*: ([^…]*?)(?:; or let .*)?$/.exec(hint) ?? [];
      await project.query(sql.replaceAll("ROLE", role));
    };

    const noSchema = await failure(perform(up, context, {}));
    expect(noSchema).toMatchObject({ code: "E_SQL", message: expect.stringContaining("for database") });
    await follow(noSchema);
    await perform(up, context, { to: "1" });

    await project.query(`REVOKE INSERT ON ops.migration_progress FROM ${role}`);
    const noPlace = await failure(perform(up, context, {}));
    expect(noPlace).toMatchObject({ code: "E_SQL", message: expect.stringContaining("migration_progress") });
    await follow(noPlace);
    await project.query(`REVOKE INSERT ON ops.migration_log FROM ${role}`);
    await project.remove("2_by_statement.up.sql");
    await project.write({ "3_plain.up.sql": "SELECT 1;" });
    const noRecord = await failure(perform(up, context, {}));
    expect(noRecord).toMatchObject({ message: expect.stringContaining("migration_log") });
    await follow(noRecord);

    expect((await perform(up, context, {})).output).toMatchObject({ current: "3" });
    await project.query(`DROP OWNED BY ${role}; DROP ROLE ${role}`);
  });

  test("an unknown version comes with the nearest one", async () => {
    await using project = await Project.create(cluster, shop);
    expect(await failure(perform(up, project.context(), { to: "0004" }))).toMatchObject({
      code: "E_MIGRATION_UNKNOWN",
      message: "There is no migration with version 0004",
      hint: 'did you mean "0001"?',
    });
  });

  test("both a version and a number of steps are refused", async () => {
    await using project = await Project.create(cluster, shop);
    for (const operation of [up, down]) {
      expect(await failure(perform(operation, project.context(), { to: "1", steps: 1 }))).toMatchObject({
        code: "E_INPUT",
        exitCode: ExitCode.usage,
      });
    }
  });

  test("a migration without a way back is not taken back, nor are the newer ones", async () => {
    await using project = await Project.create(cluster, shop);
    await perform(up, project.context(), {});
    await project.remove("0002_status.down.sql");
    expect(await failure(perform(down, project.context(), { to: 0 }))).toMatchObject({
      code: "E_MIGRATIONS",
      message: "0002_status cannot be taken back: 0002_status.down.sql is missing",
      hint: "write 0002_status.down.sql",
    });
    expect((await project.state()).applied).toEqual(["0001", "0002", "0003"]);
  });

  test("a file that changed after the plan was made is refused", async () => {
    await using project = await Project.create(cluster, shop);
    const context = project.context();
    const input = up.input.parse({});
    const before = await up.observe(context, input);
    await project.write({ "0002_status.up.sql": "DROP TABLE orders;" });
    expect(await failure(up.apply(context, input, before, new RecordingReport()))).toMatchObject({
      message: "0002_status.up.sql is not the file that was planned",
      hint: "plan again, so that what is shown is what runs",
    });
    expect((await project.state()).applied).toEqual([]);
  });

  test("a migration applied after the way back was planned is not built over", async () => {
    await using project = await Project.create(cluster, shop);
    await perform(up, project.context(), { to: "0002" });
    const context = project.context();
    const input = down.input.parse({});
    const before = await down.observe(context, input);
    await perform(up, project.context(), {});
    expect(await failure(down.apply(context, input, before, new RecordingReport()))).toMatchObject({
      message: "Version 0003 was applied after the plan was made",
      hint: "plan again",
    });
  });
});

describe("a file that fails", () => {
  test("is rolled back and shown with its place, counted in characters", async () => {
    await using project = await Project.create(cluster, {
      ...shop,
      "0002_status.up.sql": "CREATE TABLE half (id int);\n/* 🚀🚀 */ UPDATE ordrs SET id = 1;",
    });
    expect(await failure(perform(up, project.context(), {}))).toMatchObject({
      code: "E_MIGRATION_FAILED",
      message: [
        '0002_status.up.sql:2:17: relation "ordrs" does not exist',
        "  2 | /* 🚀🚀 */ UPDATE ordrs SET id = 1;",
        "    |                 ^",
        "The file failed and all of it was rolled back",
      ].join("\n"),
      hint: "mend 0002_status.up.sql and run it again",
      details: { sqlstate: "42P01" },
      exitCode: ExitCode.failed,
    });
    expect(await project.state()).toEqual({ applied: ["0001"], tables: ["orders"] });
  });

  test("shows the server's hint and detail", async () => {
    await using project = await Project.create(cluster, {
      "1_a.up.sql": "CREATE TABLE a (id int UNIQUE);\nINSERT INTO a VALUES (1), (1);\n",
      "2_b.up.sql": "SELECT nothing FROM (SELECT 1 AS nothin) AS x;",
    });
    expect((await failure(perform(up, project.context(), {}))).message).toBe(
      [
        '1_a.up.sql:2:1: duplicate key value violates unique constraint "a_id_key"',
        "  2 | INSERT INTO a VALUES (1), (1);",
        "    | ^",
        "  detail: Key (id)=(1) already exists.",
        "The file failed and all of it was rolled back",
      ].join("\n"),
    );
    await project.write({ "1_a.up.sql": "SELECT 1;" });
    expect((await failure(perform(up, project.context(), {}))).message).toBe(
      [
        '2_b.up.sql:1:8: column "nothing" does not exist',
        "  1 | SELECT nothing FROM (SELECT 1 AS nothin) AS x;",
        "    |        ^",
        '    = Perhaps you meant to reference the column "x.nothin".',
        "The file failed and all of it was rolled back",
      ].join("\n"),
    );
  });

  test.each([
    ["COPY a FROM stdin;\n1\n\\.", '2_b.up.sql:2:1: syntax error at or near "1": rows behind COPY'],
    [
      "COPY a FROM stdin;",
      "2_b.up.sql:1:1: COPY from stdin failed: No source stream defined: rows behind COPY",
    ],
    [
      "SELECT '😀';\n\\connect other",
      '2_b.up.sql:2:1: syntax error at or near "\\": \\connect is a command of psql',
    ],
  ])("because it is written for psql says so: %j", async (sql, message) => {
    await using project = await Project.create(cluster, { "1_a.up.sql": "CREATE TABLE a (id int);" });
    await project.write({ "2_b.up.sql": sql });
    const error = await failure(perform(up, project.context(), {}));
    expect(error.code).toBe("E_MIGRATION_FAILED");
    expect(error.message).toContain(message);
  });

  test("at its commit, by a deferred constraint, leaves nothing either", async () => {
    await using project = await Project.create(cluster, {
      "1_a.up.sql":
        "CREATE TABLE a (id int UNIQUE DEFERRABLE INITIALLY DEFERRED);\nINSERT INTO a VALUES (1), (1);",
    });
    expect((await failure(perform(up, project.context(), {}))).code).toBe("E_MIGRATION_FAILED");
    expect(await project.state()).toEqual({ applied: [], tables: [] });
  });

  test("to hide its COMMIT from us is caught when it has run", async () => {
    await using project = await Project.create(cluster, {
      "1_a.up.sql": "CREATE TABLE a (id int);\nSELECT 'x\\' , '; COMMIT; SELECT ' y';",
    });
    const [database] = await project.query<{ name: string }>("SELECT current_database() AS name");
    await project.query(`ALTER DATABASE ${database?.name} SET standard_conforming_strings = off`);
    expect(await failure(perform(up, project.context(), {}))).toMatchObject({
      code: "E_MIGRATION_TRANSACTION",
      message:
        "1_a.up.sql ended the transaction it was run in, so some of it may be kept without a record of it",
    });
    expect((await project.state()).applied).toEqual([]);
  });
});
