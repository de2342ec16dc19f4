import { mkdtemp, realpath, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Cluster } from "../../../src/postgres/cluster.ts";
import { runProgram } from "../../../src/process/run-program.ts";
import { perform, testContext } from "../../support/context.ts";
import { startTestCluster } from "../../support/postgres.ts";
import { operation, Project } from "./project.ts";

const lint = operation("migrate.lint");

let cluster: Cluster;
beforeAll(async () => {
  cluster = await startTestCluster();
});
afterAll(() => cluster?.stop());

type Found = {
  rule: string;
  file: string;
  severity: string;
  line: number;
  column: number;
  allowed: string | null;
  message: string;
};
type Output = { findings: Found[]; errors: number; notes: string[]; files: number };

/** Lints one file over a database with the table `orders` of 2,000 rows, which `big-rows` makes big or small. */
async function linted(sql: string, size: "big" | "small", setUp = ""): Promise<Output> {
  await using project = await Project.create(cluster, { "0001_change.up.sql": sql });
  await project.query(
    `CREATE TABLE orders (id int PRIMARY KEY, code varchar(10), price numeric(8, 2), note text, customer int);
     INSERT INTO orders SELECT n, 'a', 1, 'n', n FROM generate_series(1, 2000) AS n; CREATE TABLE empty (id int PRIMARY KEY);
     ${setUp}; ANALYZE`,
  );
  const { output } = await perform(lint, project.context(), {
    "big-rows": size === "big" ? 1000 : 1_000_000,
  });
  return output as Output;
}

const rules = (output: Output) => output.findings.map((each) => `${each.severity} ${each.rule}`);

describe("with a database", () => {
  test("a way back is looked at for what it locks and rewrites, and not for what it destroys", async () => {
    await using project = await Project.create(cluster, {
      "1_more.up.sql": "ALTER TABLE orders ADD COLUMN more text;\nCREATE TABLE extra (id bigint);",
      "1_more.down.sql":
        "DROP TABLE extra;\nALTER TABLE orders DROP COLUMN more;\nALTER TABLE orders ALTER COLUMN price TYPE text;",
    });
    await project.query(
      "CREATE TABLE orders AS SELECT n AS id, 1::numeric AS price FROM generate_series(1, 2000) AS n; ANALYZE",
    );
    const { output } = await perform(lint, project.context(), { "big-rows": 1000 });
    const { findings, errors } = output as Output;
    expect(errors).toBe(0);
    const back = findings.filter((each) => each.file.endsWith(".down.sql"));
    expect(back.map((each) => `${each.line}: ${each.severity} ${each.rule}`)).toEqual([
      "2: note locking-big-table",
      "3: warning changing-column-type",
    ]);
  });

  test.each([
    ["CREATE INDEX i ON orders (note)", "require-concurrent-index-creation"],
    ["ALTER TABLE orders ALTER id TYPE bigint", "changing-column-type"],
    ["ALTER TABLE orders ALTER note SET NOT NULL", "adding-not-nullable-field"],
    ["ALTER TABLE orders ADD made timestamptz DEFAULT clock_timestamp()", "adding-field-with-default"],
    ["ALTER TABLE orders ADD serial_number bigserial", "adding-field-with-default"],
    ["ALTER TABLE orders ADD CHECK (id > 0)", "constraint-missing-not-valid"],
    ["ALTER TABLE orders ADD FOREIGN KEY (customer) REFERENCES empty (id)", "adding-foreign-key-constraint"],
    ["ALTER TABLE empty ADD FOREIGN KEY (id) REFERENCES orders (id)", "adding-foreign-key-constraint"],
    ["ALTER TABLE orders ADD UNIQUE (customer)", "disallowed-unique-constraint"],
    ["ALTER TABLE orders SET UNLOGGED", "rewriting-table"],
    ["VACUUM FULL orders", "rewriting-table"],
    ["UPDATE orders SET note = 'x'", "changing-every-row"],
    ["REINDEX TABLE orders", "require-concurrent-reindex"],
  ])("%s is an error on a big table and a note on a small one", async (sql, rule) => {
    const big = await linted(sql, "big");
    expect(big.findings).toContainEqual(expect.objectContaining({ rule, severity: "error" }));
    expect(lint.failure?.(big)).toMatchObject({ code: "E_LINT", exitCode: 1 });
    const small = await linted(sql, "small");
    expect(small.findings).toContainEqual(expect.objectContaining({ rule, severity: "note" }));
    expect(small.errors).toBe(0);
  });

  test.each([
    ["a type that needs no rewrite", "ALTER TABLE orders ALTER price TYPE numeric(10, 2)", ""],
    ["a default that is the same in every row", "ALTER TABLE orders ADD made timestamptz DEFAULT now()", ""],
    [
      "NOT NULL that a valid CHECK has proven",
      "ALTER TABLE orders ALTER note SET NOT NULL",
      "ALTER TABLE orders ADD CHECK (note IS NOT NULL)",
    ],
    [
      "a constraint over an index that is there",
      "ALTER TABLE orders ADD UNIQUE USING INDEX one",
      "CREATE UNIQUE INDEX one ON orders (customer)",
    ],
    ["a check that is validated later", "ALTER TABLE orders ADD CHECK (id > 0) NOT VALID", ""],
  ])("%s is no error, even on a big table", async (_name, sql, setUp) => {
    expect((await linted(sql, "big", setUp)).errors).toBe(0);
  });

  test.each([
    ["its own CHECK", "CREATE DOMAIN pos AS int CHECK (VALUE > 0)", "pos DEFAULT 1"],
    ["no default", "CREATE DOMAIN pos AS int CHECK (VALUE > 0)", "pos"],
    ["NOT NULL", "CREATE DOMAIN pos AS int NOT NULL", "public.pos DEFAULT 1"],
    [
      "the CHECK of the one below it",
      "CREATE DOMAIN low AS int CHECK (VALUE > 0); CREATE DOMAIN pos AS low",
      "pos DEFAULT 1",
    ],
    ["a CHECK that is added", "CREATE DOMAIN pos AS int; ALTER DOMAIN pos ADD CHECK (VALUE > 0)", "pos"],
    ["no constraint", "CREATE DOMAIN pos AS int", "pos DEFAULT 1"],
    ["only its array", "CREATE DOMAIN pos AS int CHECK (VALUE > 0)", "pos[] DEFAULT '{1}'"],
  ])("a column of a domain with %s is foreseen to rewrite as it does", async (_name, domain, column) => {
    const sql = `ALTER TABLE subject ADD COLUMN value ${column}`;
    await using project = await Project.create(cluster, { "1_change.up.sql": `${domain};\n${sql};` });
    await project.query("CREATE TABLE subject (id int)");
    const foreseen = async () => {
      const { findings } = (await perform(lint, project.context(), {})).output as Output;
      return findings.some((each) => each.rule === "adding-field-with-default");
    };
    const inSameFile = await foreseen();
    await project.query(domain);
    await project.write({ "1_change.up.sql": `${sql};` });
    const inDatabase = await foreseen();
    const file = "SELECT pg_relation_filenode('subject') AS file";
    const [before] = await project.query(file);
    await project.query(sql);
    const [after] = await project.query(file);
    const rewritten = before?.file !== after?.file;
    expect({ inSameFile, inDatabase }).toEqual({ inSameFile: rewritten, inDatabase: rewritten });
  });

  test("SET NOT NULL reads nothing behind a CHECK that pending files add and validate", async () => {
    const steps = [
      "ALTER TABLE orders ADD CONSTRAINT noted CHECK (note IS NOT NULL) NOT VALID, ADD CHECK (price IS NOT NULL) NOT VALID",
      "ALTER TABLE public.orders VALIDATE CONSTRAINT noted, VALIDATE CONSTRAINT coded, VALIDATE CONSTRAINT orders_price_check",
      "ALTER TABLE orders ALTER note SET NOT NULL, ALTER code SET NOT NULL, ALTER price SET NOT NULL",
      "ALTER TABLE orders ALTER customer SET NOT NULL",
    ];
    const coded = "ALTER TABLE orders ADD CONSTRAINT coded CHECK (code IS NOT NULL) NOT VALID";
    const output = await linted(steps.join(";\n"), "big", coded);
    expect(output.findings.filter((each) => each.severity === "error").map((each) => each.line)).toEqual([4]);
    expect((await linted(steps.toSpliced(1, 1).join(";\n"), "big", coded)).errors).toBe(4);
  });

  test("of a DO block a note says that nobody looked into it", async () => {
    const output = await linted("SELECT 1;\nDO $$ BEGIN UPDATE orders SET note = 'x'; END $$;", "big");
    expect(output.findings).toMatchObject([{ rule: "do-block", severity: "note", line: 2, column: 1 }]);
  });

  test("a table that the same or an earlier file makes has no rows to wait for", async () => {
    const sql =
      "CREATE TABLE fresh (id bigint PRIMARY KEY);\nCREATE INDEX i ON fresh (id);\nALTER TABLE fresh ADD CHECK (id > 0);";
    expect(rules(await linted(sql, "big"))).toEqual([]);
  });

  test("a table that is there already is not made by CREATE TABLE IF NOT EXISTS", async () => {
    const sql = "CREATE TABLE IF NOT EXISTS orders (id bigint PRIMARY KEY);\nCREATE INDEX i ON orders (id);";
    expect(rules(await linted(sql, "big"))).toContain("error require-concurrent-index-creation");
  });

  test("a new table hides no table of that name in another schema", async () => {
    const sql = "CREATE TABLE shop.orders (id bigint PRIMARY KEY);\nCREATE INDEX i ON public.orders (id);";
    expect(rules(await linted(sql, "big"))).toEqual(["error require-concurrent-index-creation"]);
  });

  test("a foreign key of a new table into a big one is a warning", async () => {
    const output = await linted("CREATE TABLE items (id bigint REFERENCES orders (id))", "big");
    expect(rules(output)).toEqual(["warning foreign-key-to-big-table"]);
  });

  test("a required column without a default fails where there are rows, and nowhere else", async () => {
    expect(rules(await linted("ALTER TABLE orders ADD must bigint NOT NULL", "small"))).toContain(
      "error adding-required-field",
    );
    expect(rules(await linted("ALTER TABLE empty ADD must bigint NOT NULL", "small"))).toEqual([]);
  });

  test("the place counts characters and the message tells the size", async () => {
    const { findings } = await linted("SELECT '🚀 é'; UPDATE orders SET note = 'x';", "big");
    expect(findings).toMatchObject([
      { line: 1, column: 15, message: expect.stringMatching(/^orders \(\d+ KiB, about 2,000 rows\): /) },
    ]);
  });

  test("the bounds of a backfill are understood", async () => {
    const sql =
      "-- ops: batch table=orders key=id size=100\nUPDATE orders SET note = 'x' WHERE id BETWEEN :batch_start AND :batch_end;";
    expect(rules(await linted(sql, "big"))).toEqual([]);
  });

  test("what is no SQL is an error at its place that nothing allows", async () => {
    const output = await linted("-- ops: allow=syntax-error because I say so\nSELECT 1,, 2;", "small");
    expect(output.findings).toContainEqual(
      expect.objectContaining({
        rule: "syntax-error",
        severity: "error",
        line: 2,
        column: 10,
        allowed: null,
      }),
    );
  });

  test.each([
    ["SELECT '🚀';\n\\set limit 10\n", 2, "\\set is a command of psql, which is not supported"],
    ["COPY empty (id) FROM stdin;\n1\n\\.\n", 2, "rows behind COPY … FROM stdin are not supported"],
  ])("what only psql takes is told at its place: %j", async (sql, line, told) => {
    const { findings } = await linted(sql, "small");
    expect(findings).toContainEqual(
      expect.objectContaining({
        rule: "syntax-error",
        line,
        column: 1,
        message: expect.stringContaining(told),
      }),
    );
  });

  test("only pending migrations are looked at", async () => {
    await using project = await Project.create(cluster, { "1_a.up.sql": "CREATE TABLE a (id int)" });
    await perform(operation("migrate.up"), project.context(), {});
    expect((await perform(lint, project.context(), {})).output).toMatchObject({ files: 0, findings: [] });
  });
});

describe("what the server will rewrite is foreseen", () => {
  const changes = [
    ["varchar(10)", "varchar(20)"],
    ["varchar(10)", "varchar(5)"],
    ["varchar(10)", "varchar"],
    ["varchar(10)", "text"],
    ["text", "varchar"],
    ["text", "varchar(10)"],
    ["char(5)", "char(8)"],
    ["char(5)", "varchar(8)"],
    ["varbit(5)", "varbit(8)"],
    ["integer", "bigint"],
    ["integer", "integer"],
    ["bigint", "numeric"],
    ["numeric(8,2)", "numeric(10,2)"],
    ["numeric(8,2)", "numeric(10,3)"],
    ["numeric(8,2)", "numeric"],
    ["numeric", "numeric(8,2)"],
    ["timestamp(3)", "timestamp(6)"],
    ["timestamp(3)", "timestamp"],
    ["timestamp", "timestamp(3)"],
    ["timestamptz(0)", "timestamptz(3)"],
    ["time(0)", "time(3)"],
    ["cidr", "inet"],
    ["json", "jsonb"],
    ["xml", "text"],
    ["varchar(10)[]", "varchar[]"],
    ["integer[]", "bigint[]"],
  ];
  test.each(changes)("%s to %s", async (from, to) => {
    const sql = `ALTER TABLE subject ALTER COLUMN value TYPE ${to} USING value::${to}`;
    await using project = await Project.create(cluster, { "1_change.up.sql": `${sql};` });
    await project.query(`CREATE TABLE subject (value ${from})`);
    const { output } = await perform(lint, project.context(), {});
    const file = "SELECT pg_relation_filenode('subject') AS file";
    const [before] = await project.query(file);
    await project.query(sql);
    const [after] = await project.query(file);
    const foreseen = (output as Output).findings.some((each) => each.rule === "changing-column-type");
    expect({ rewritten: foreseen }).toEqual({ rewritten: before?.file !== after?.file });
  });
});

describe("allowances", () => {
  test("silence their rule, and the reason is shown", async () => {
    const output = await linted(
      "-- ops: allow=changing-every-row because it is small enough\nUPDATE orders SET note = 'x';",
      "big",
    );
    expect(output).toMatchObject({
      errors: 0,
      findings: [{ rule: "changing-every-row", allowed: "it is small enough" }],
    });
    expect(lint.render?.({ ...output, format: "text" })).toContain(
      "changing-every-row is allowed because it is small enough",
    );
  });

  test("that silence nothing are told", async () => {
    const output = await linted("-- ops: allow=ban-drop-table because once\nSELECT 1;", "big");
    expect(output.findings).toMatchObject([
      { rule: "unused-allow", severity: "warning", line: 1, column: 9 },
    ]);
  });
});

describe("without a database", () => {
  test("squawk's own severities hold, and a note says why", async () => {
    await using project = await Project.create(cluster, { "1_a.up.sql": "CREATE INDEX i ON orders (note);" });
    const target = { url: "postgresql://nobody@127.0.0.1:1/none", migrations: project.folder };
    const { output } = await perform(lint, testContext({ databases: { main: target } }), {});
    expect(output).toMatchObject({
      findings: [{ rule: "require-concurrent-index-creation", severity: "warning" }],
      errors: 0,
      notes: [expect.stringContaining("Cannot connect to database main")],
    });
  });
});

describe("with a base", () => {
  test("only files that changed since the branch left it are looked at", async () => {
    const folder = await realpath(await mkdtemp(join(tmpdir(), "ops-lint-")));
    try {
      const git = async (...args: string[]) => {
        const identity = ["-c", "user.name=t", "-c", "user.email=t@localhost"];
        const { exitCode, stderr } = await runProgram("git", [...identity, ...args], { cwd: folder });
        expect({ exitCode, stderr: exitCode === 0 ? "" : stderr }).toEqual({ exitCode: 0, stderr: "" });
      };
      const index = (name: string) => `CREATE INDEX ${name} ON orders (note);`;
      await git("init", "-q", "-b", "main");
      await writeFile(join(folder, "1_old.up.sql"), index("a"));
      await git("add", ".");
      await git("commit", "-qm", "old");
      await git("checkout", "-qb", "feature");
      await writeFile(join(folder, "2_committed.up.sql"), index("b"));
      await git("add", ".");
      await git("commit", "-qm", "new");
      await writeFile(join(folder, "3_not_added.up.sql"), index("c"));
      const context = testContext(
        { databases: { main: { url: "postgresql://localhost/none", migrations: "." } } },
        { directory: folder },
      );
      const { output } = await perform(lint, context, { base: "main", offline: true });
      expect((output as { findings: { file: string }[] }).findings.map((each) => each.file)).toEqual([
        "2_committed.up.sql",
        "3_not_added.up.sql",
      ]);
      await expect(perform(lint, context, { base: "--output=x", offline: true })).rejects.toMatchObject({
        code: "E_LINT_BASE",
      });
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  });
});

test("without a database warnings can fail it; what runs statement by statement is not in a transaction", async () => {
  await using project = await Project.create(cluster, {
    "1_drop.up.sql": "ALTER TABLE orders DROP COLUMN note;",
    "2_indexes.up.sql":
      "CREATE INDEX CONCURRENTLY a ON orders (id);\nCREATE INDEX CONCURRENTLY b ON orders (code);",
  });
  const of = async (input: object) => {
    const { output } = await perform(lint, project.context(), { offline: true, ...input });
    return { rules: rules(output as Output), failure: lint.failure?.(output)?.message };
  };
  expect(await of({})).toEqual({ rules: ["warning ban-drop-column"], failure: undefined });
  expect((await of({ "fail-on": "warning" })).failure).toBe("The migrations have 1 warning");
});
