import { serverStatistics } from "../../src/haproxy/statistics.ts";
import { runProgram } from "../../src/process/run-program.ts";
import type { TestSandbox } from "./sandbox.ts";

/** Everything that a deploy changes in a sandbox, as two runs can be compared by it. */
export interface DeployState {
  /** `pg_dump --schema-only` of the application's own schema. */
  readonly schema: string;
  readonly migrations: readonly unknown[];
  readonly flags: readonly unknown[];
  /** Server → weight. */
  readonly weights: Readonly<Record<string, string | undefined>>;
  readonly orders: unknown;
  /** Every committed DDL command on the application's schema, once for each time it ran. */
  readonly ddl: readonly unknown[];
}

/** Lets the server itself count what is applied: a migration that ran twice shows twice. */
export async function auditDdl(sandbox: TestSandbox): Promise<void> {
  await sandbox.query(`
    CREATE SCHEMA audit;
    CREATE TABLE audit.ddl (tag text, object text);
    CREATE FUNCTION audit.note() RETURNS event_trigger LANGUAGE plpgsql AS $$
    BEGIN
      INSERT INTO audit.ddl SELECT command_tag, object_identity FROM pg_event_trigger_ddl_commands()
      WHERE schema_name IS DISTINCT FROM 'ops' AND object_identity <> 'ops' AND schema_name IS DISTINCT FROM 'pg_temp';
    END $$;
    CREATE EVENT TRIGGER audit_ddl ON ddl_command_end EXECUTE FUNCTION audit.note();`);
}

export async function deployState(sandbox: TestSandbox): Promise<DeployState> {
  const dump = await runProgram("pg_dump", [
    "--schema-only",
    "--schema=public",
    "--no-owner",
    sandbox.urls.database,
  ]);
  if (dump.exitCode !== 0) throw new Error(dump.stderr);
  const hasFlags = await sandbox.query("SELECT to_regclass('ops.flag_change') IS NOT NULL AS yes");
  const rows = await serverStatistics(sandbox.layout.balancerSocket, "web");
  return {
    // The token of \restrict is new in every dump.
    schema: dump.stdout.replaceAll(/^\\(un)?restrict .*$/gm, ""),
    migrations: await sandbox.query("SELECT version, name, checksum FROM ops.migration ORDER BY version"),
    flags:
      hasFlags[0]?.yes === true
        ? await sandbox.query("SELECT name, definition->'targeting' AS targeting FROM ops.flag ORDER BY name")
        : [],
    weights: Object.fromEntries(rows.map((row) => [row.svname ?? "", row.weight])),
    orders: (await sandbox.query("SELECT count(*) AS n FROM orders"))[0]?.n,
    ddl: await sandbox.query("SELECT tag, object FROM audit.ddl ORDER BY tag, object"),
  };
}
