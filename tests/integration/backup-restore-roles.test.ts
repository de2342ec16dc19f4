import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { decodeManifest, encodeManifest } from "../../src/archive/manifest.ts";
import { perform, testContext } from "../support/context.ts";
import { BackupSetting, operation } from "./backup-setting.ts";

const create = operation("backup.create");
const restore = operation("backup.restore");

let setting: BackupSetting;
beforeAll(async () => {
  setting = await BackupSetting.start();
});
afterAll(() => setting.stop());

const sql = `
  CREATE TABLE app_owner (app_owner text DEFAULT 'app_owner');
  ALTER TABLE app_owner OWNER TO app_owner;
  INSERT INTO app_owner VALUES ('app_owner');
  CREATE TABLE plain (n int);
  GRANT SELECT ON plain TO "App Reader";
  ALTER TABLE plain ENABLE ROW LEVEL SECURITY;
  CREATE POLICY own ON plain TO "App Reader" USING (n > 0);
  ALTER DEFAULT PRIVILEGES FOR ROLE app_owner GRANT SELECT ON TABLES TO "App Reader";
`;

/** A backup whose roles are gone from the server, with a database that has properties of its own. */
async function backupOfLostRoles(name: string) {
  await setting.query("postgres", `CREATE ROLE app_owner; CREATE ROLE "App Reader"; CREATE ROLE granter`);
  const prepared = await setting.prepare(sql, name);
  await setting.query(
    name,
    `ALTER DATABASE ${name} OWNER TO app_owner;
     ALTER DATABASE ${name} SET search_path TO public, "Größe; --";
     ALTER DATABASE ${name} CONNECTION LIMIT 77;
     ALTER ROLE "App Reader" IN DATABASE ${name} SET work_mem TO '9MB';
     COMMENT ON DATABASE ${name} IS 'ON DATABASE ${name}; it''s ours';
     REVOKE TEMPORARY ON DATABASE ${name} FROM PUBLIC;
     GRANT CONNECT ON DATABASE ${name} TO granter WITH GRANT OPTION;
     SET ROLE granter; GRANT CONNECT ON DATABASE ${name} TO "App Reader"; RESET ROLE`,
  );
  await perform(create, testContext(prepared.settings), {});
  return { ...prepared, before: await properties(name) };
}

async function removeWithRoles(...databases: string[]): Promise<void> {
  for (const each of databases) await setting.query("postgres", `DROP DATABASE "${each}"`);
  for (const role of ["app_owner", '"App Reader"', "granter", "new_owner", "reader2"]) {
    await setting.query("postgres", `DROP ROLE IF EXISTS ${role}`);
  }
}

async function properties(name: string) {
  const rows = await setting.query<{ text: string }>(
    "postgres",
    `SELECT jsonb_build_object('owner', datdba::regrole::text, 'limit', datconnlimit, 'grants', (SELECT jsonb_agg(g::text ORDER BY g::text) FROM unnest(datacl) g),
            'settings', (SELECT jsonb_agg(setrole::regrole::text || setconfig::text ORDER BY setrole) FROM pg_db_role_setting WHERE setdatabase = d.oid),
            'comment', split_part(shobj_description(d.oid, 'pg_database'), E'\\nops: restored', 1))::text AS text
       FROM pg_database d WHERE datname = '${name}'`,
  );
  return rows[0]?.text;
}

describe("backup.restore and roles", () => {
  it("names all missing roles before it makes anything", async () => {
    const { settings } = await backupOfLostRoles("lost");
    await removeWithRoles("lost");

    await expect(perform(restore, testContext(settings), { into: "again" })).rejects.toMatchObject({
      code: "E_ROLE_MISSING",
      message: expect.stringContaining("App Reader, app_owner, granter"),
      hint: expect.stringContaining("--create-roles"),
    });
    expect(await setting.databases()).not.toContain("again");
    const skipped = perform(restore, testContext(settings), { into: "again", owners: "skip" });
    // A policy names its role whoever owns the table.
    await expect(skipped).rejects.toMatchObject({ message: expect.stringMatching(/a role .*: App Reader$/) });
  });

  it("makes them without login when told to, with the properties of the database, and drops them on the way back", async () => {
    const { settings, before } = await backupOfLostRoles("made");
    await removeWithRoles("made");

    const done = await perform(restore, testContext(settings), { into: "made", "create-roles": true });

    expect(done.changes.map((each) => each.summary).join("\n")).toContain('make the role "App Reader"');
    expect(await properties("made")).toBe(before);
    const roles = () =>
      setting.query(
        "postgres",
        "SELECT rolname, rolcanlogin FROM pg_roles WHERE rolname IN ('App Reader', 'app_owner', 'granter') ORDER BY 1",
      );
    expect(await roles()).toEqual(
      ["App Reader", "app_owner", "granter"].map((rolname) => ({ rolname, rolcanlogin: false })),
    );
    expect(await done.undo()).toMatchObject({ undone: true });
    expect(await roles()).toEqual([]);
  });

  it("maps them everywhere, and leaves what is only called the same", async () => {
    const { settings, database } = await backupOfLostRoles("mapped");
    const source = setting.dump(database);
    await removeWithRoles("mapped");
    await setting.query("postgres", "CREATE ROLE new_owner; CREATE ROLE reader2; CREATE ROLE granter");
    const mapping = { app_owner: "new_owner", "App Reader": "reader2" };

    await perform(restore, testContext(settings), {
      into: "mapped",
      "map-role": mapping,
      jobs: 2,
      check: "rows",
    });

    const expected = source
      .replaceAll("Owner: app_owner", "Owner: new_owner")
      .replaceAll("OWNER TO app_owner", "OWNER TO new_owner")
      .replaceAll("FOR ROLE app_owner", "FOR ROLE new_owner")
      .replaceAll('TO "App Reader"', "TO reader2");
    expect(setting.dump("mapped")).toBe(expected);
    expect(await properties("mapped")).toContain('"owner": "new_owner"');
    expect(await properties("mapped")).toContain("reader2{work_mem=9MB}");
    expect(await setting.query("mapped", "SELECT * FROM app_owner")).toEqual([{ app_owner: "app_owner" }]);

    await expect(
      perform(restore, testContext(settings), { into: "x", "map-role": { app_ownr: "new_owner" } }),
    ).rejects.toMatchObject({ code: "E_INPUT", hint: 'did you mean "app_owner"?' });
    await removeWithRoles("mapped");
  });
});

describe("backup.restore by a user who is no superuser", () => {
  it("swaps what belongs to it, and says at once what it may not set", async () => {
    await setting.query("postgres", "CREATE ROLE tenant LOGIN CREATEDB");
    await setting.query("postgres", "CREATE DATABASE tenancy OWNER tenant");
    const { settings } = await setting.prepare("CREATE TABLE t AS SELECT 1 AS x", "template_of_tenancy");
    await perform(create, testContext(settings), {});
    const url = settings.databases.main.url.replace("postgres@", "tenant@");
    const tenant = { ...settings, databases: { main: { url } } };
    const input = { into: "tenancy", swap: true, owners: "skip" };

    const done = await perform(restore, testContext(tenant), input);
    expect(await setting.query("tenancy", "SELECT x FROM t")).toEqual([{ x: 1 }]);
    expect(await done.undo()).toMatchObject({ undone: true });

    await setting.query("postgres", "ALTER DATABASE template_of_tenancy SET log_statement = 'all'");
    await perform(create, testContext(settings), {});
    await expect(perform(restore, testContext(tenant), input)).rejects.toMatchObject({
      code: "E_SQL",
      message: expect.stringContaining('permission denied to set parameter "log_statement"'),
    });
    expect((await setting.databases()).filter((each) => each.startsWith("ops_restore_"))).toEqual([]);
  });
});

describe("backup.restore to another version", () => {
  it("refuses a server that is older than the dump, before anything happens, unless told otherwise", async () => {
    const { settings, directory } = await setting.prepare("CREATE TABLE t AS SELECT 1 AS x", "newer");
    const { output } = await perform(create, testContext(settings), {});
    const file = join(directory, (output as { id: string }).id, "manifest.json");
    const sealed = decodeManifest(await readFile(file));
    if (sealed === undefined) throw new Error("there is no manifest");
    const { manifest } = sealed;
    const source = { ...manifest.source, serverVersion: "99.1" };
    await writeFile(file, encodeManifest({ ...manifest, source }));

    await expect(perform(restore, testContext(settings), { into: "older" })).rejects.toMatchObject({
      code: "E_SERVER_OLDER",
      message: expect.stringContaining("PostgreSQL 99.1"),
    });
    expect(await setting.databases()).not.toContain("older");
    await perform(restore, testContext(settings), { into: "older", "older-server": "allow" });
    expect(await setting.query("older", "SELECT x FROM t")).toEqual([{ x: 1 }]);
  });
});
