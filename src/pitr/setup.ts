import pg from "pg";
import { z } from "zod";
import type { DatabaseTarget, Environment } from "../config/environment.ts";
import { UsageError } from "../core/errors.ts";
import { name } from "../core/schema.ts";
import { withConnection } from "../postgres/connection.ts";
import { defineOperation } from "../run/operation.ts";
import { pitrOf } from "./archive-stores.ts";
import { commandOfServer } from "./command-line.ts";
import { noSteps, pgBackRestSteps, plannedSteps, takeSteps } from "./pgbackrest-setup.ts";
import { receiveUnit } from "./receive-unit.ts";

const setting = z.object({
  name: z.string(),
  from: z.string(),
  to: z.string(),
  takesEffect: z.enum(["reload", "restart"]),
});

type Setting = z.output<typeof setting>;

/** What `ALTER SYSTEM` had before, by name; null: nothing. */
type Before = {
  readonly database: string;
  readonly changes: Setting[];
  readonly altered: Record<string, string | null>;
  readonly unit: { name: string; text: string } | null;
  readonly steps: { create: boolean; check: boolean };
};

export const setup = defineOperation({
  name: "pitr.setup",
  summary: "Make a server archive its WAL: show the settings that differ, and apply them",
  example: "pitr setup --database main",
  effect: "change",
  input: z.strictObject({ database: name("A database of the cluster").optional() }),
  output: z.object({
    database: z.string(),
    changed: z.array(setting),
    restart: z.array(z.string()).describe("Settings that wait for a restart of the server"),
    unit: z
      .object({ name: z.string(), text: z.string() })
      .nullable()
      .describe(
        "A systemd service of ops wal receive, for another machine than the server's; null: not for this engine",
      ),
  }),
  targets: (input, environment) => [`pitr:${environment.database(input.database).name}`],

  async observe(context, input): Promise<Before> {
    const database = context.environment.database(input.database);
    const pitr = pitrOf(database);
    const { command, steps } =
      pitr.engine === "pgbackrest"
        ? await pgBackRestSteps(pitr, context.signal)
        : { command: pushCommand(context.environment, database.name), steps: noSteps };
    const slot = pitr.engine === "ops" ? pitr.slot : null;
    const { current, altered, fixed, isReceived } = await readSettings(database, slot, context.signal);
    const library = current.get("archive_library") ?? "";
    if (library !== "") {
      throw new UsageError(
        "E_TARGET",
        `The server of ${database.name} archives with the library ${library}, and calls no archive_command`,
        { hint: "ALTER SYSTEM RESET archive_library, or take it out of postgresql.conf; then reload" },
      );
    }
    const changes = wanted(current, command, isReceived).filter((each) => each.from !== each.to);
    const [stuck] = changes.filter((each) => fixed.has(each.name));
    if (stuck !== undefined) {
      throw new UsageError(
        "E_TARGET",
        `The server of ${database.name} was started with ${stuck.name} on its command line, which nothing overrides`,
        { hint: `start it with: ${stuck.name} = ${stuck.to}` },
      );
    }
    const unit = pitr.engine === "ops" ? { ...receiveUnit(context.environment, database.name) } : null;
    return { database: database.name, changes, altered, unit, steps: { ...steps } };
  },

  plan: ({ database, changes, steps }) => [
    ...changes.map(({ name: key, from, to, takesEffect }) => ({
      target: `database:${database}`,
      action: "update" as const,
      summary: `${key} = ${to} (${takesEffect === "reload" ? "by a reload" : "needs a restart of the server"})`,
      from,
      to,
    })),
    ...plannedSteps(database, steps),
  ],

  async apply(context, _input, { database, changes, unit, steps }) {
    const target = context.environment.database(database);
    await alter(
      target,
      context.signal,
      changes.map((each) => [each.name, each.to] as const),
    );
    const restart = await awaitingRestart(target, context.signal);
    if (target.pitr?.engine === "pgbackrest") await takeSteps(target.pitr, steps, restart, context.signal);
    return { database, changed: changes, restart, unit };
  },

  unchanged: ({ database, unit }) => ({
    output: { database, changed: [], restart: [], unit },
    warnings: [],
  }),

  async undo(context, _input, { database, changes, altered }) {
    const target = context.environment.database(database);
    await alter(
      target,
      context.signal,
      changes.map((each) => [each.name, altered[each.name] ?? null] as const),
    );
    const restart = await awaitingRestart(target, context.signal);
    const note = restart.length === 0 ? "" : `; ${restart.join(", ")} need a restart of the server`;
    return { undone: true, note: `the server's settings are as before${note}` };
  },

  render: ({ database, changed, restart, unit }) =>
    [
      changed.length === 0
        ? `The server of ${database} is set to archive its WAL`
        : `The server of ${database} has new settings: ${changed.map((each) => each.name).join(", ")}`,
      ...(restart.length === 0 ? [] : [`Restart it for: ${restart.join(", ")}`]),
      ...(unit === null
        ? []
        : [
            "",
            `So that a lost server costs seconds instead of a segment, on another machine, /etc/systemd/system/${unit.name}:`,
            "",
            unit.text.trimEnd(),
          ]),
    ].join("\n"),
});

const watched = [
  "wal_level",
  "archive_mode",
  "archive_command",
  "archive_library",
  "archive_timeout",
  "summarize_wal",
];

/** Of a segment that is not full, where nobody receives it as it is written: what a lost server costs at most. */
const usualTimeout = "60s";

function pushCommand(environment: Environment, database: string): string {
  if (environment.file === undefined) {
    throw new UsageError("E_TARGET", "There is no configuration file that archive_command could name", {
      hint: 'write .opsrc with "databases:" and "stores:" (see .opsrc.example)',
    });
  }
  return commandOfServer(environment, database, ["wal", "push", "%p"]);
}

/** Settings that are good enough stay: `logical`, `always`, any archive_timeout. */
function wanted(current: ReadonlyMap<string, string>, command: string, isReceived: boolean): Setting[] {
  const value = (key: string) => current.get(key) ?? "";
  const level = value("wal_level");
  const mode = value("archive_mode");
  const timeout = value("archive_timeout");
  const isEndless = !isReceived && Number.parseInt(timeout, 10) === 0;
  return [
    { name: "wal_level", from: level, to: level === "minimal" ? "replica" : level, takesEffect: "restart" },
    { name: "archive_mode", from: mode, to: mode === "off" ? "on" : mode, takesEffect: "restart" },
    { name: "archive_command", from: value("archive_command"), to: command, takesEffect: "reload" },
    { name: "archive_timeout", from: timeout, to: isEndless ? usualTimeout : timeout, takesEffect: "reload" },
    // From PostgreSQL 17 on: incremental base backups need it.
    ...(current.has("summarize_wal")
      ? [{ name: "summarize_wal", from: value("summarize_wal"), to: "on", takesEffect: "reload" as const }]
      : []),
  ];
}

/** @param slot of ops wal receive; null: the engine has none */
async function readSettings(database: DatabaseTarget, slot: string | null, signal: AbortSignal) {
  return withConnection(database, { signal }, async (client) => {
    // What the files say wins over what runs: a change that waits for its restart is no change any more.
    const { rows } = await client.query<{
      name: string;
      value: string;
      altered: string | null;
      fixed: boolean;
    }>(
      `SELECT s.name, s.source = 'command line' AS fixed, coalesce(f.setting, s.setting) AS value, a.setting AS altered
         FROM pg_settings s
         LEFT JOIN LATERAL (SELECT setting FROM pg_file_settings f
                             WHERE f.name = s.name AND error IS NULL OR f.name = s.name AND s.pending_restart
                             ORDER BY seqno DESC LIMIT 1) f ON s.source <> 'command line'
         LEFT JOIN LATERAL (SELECT setting FROM pg_file_settings f
                             WHERE f.name = s.name AND sourcefile LIKE '%postgresql.auto.conf'
                             ORDER BY seqno DESC LIMIT 1) a ON true
        WHERE s.name = ANY($1)`,
      [watched],
    );
    const { rowCount } = await client.query("SELECT FROM pg_replication_slots WHERE slot_name = $1", [slot]);
    return {
      isReceived: rowCount === 1,
      current: new Map(rows.map((each) => [each.name, each.value])),
      altered: Object.fromEntries(rows.map((each) => [each.name, each.altered])),
      fixed: new Set(rows.filter((each) => each.fixed).map((each) => each.name)),
    };
  });
}

async function alter(
  database: DatabaseTarget,
  signal: AbortSignal,
  settings: readonly (readonly [string, string | null])[],
): Promise<void> {
  await withConnection(database, { signal }, async (client) => {
    for (const [key, value] of settings) {
      await client.query(
        value === null
          ? `ALTER SYSTEM RESET ${pg.escapeIdentifier(key)}`
          : `ALTER SYSTEM SET ${pg.escapeIdentifier(key)} = ${pg.escapeLiteral(value)}`,
      );
    }
    await client.query("SELECT pg_reload_conf()");
  });
}

/** Of the watched ones. pg_settings tells it once the reload has reached the session, the files at once. */
async function awaitingRestart(database: DatabaseTarget, signal: AbortSignal): Promise<string[]> {
  return withConnection(database, { signal }, async (client) => {
    const { rows } = await client.query<{ name: string }>(
      `SELECT DISTINCT f.name FROM pg_file_settings f JOIN pg_settings s USING (name)
        WHERE f.name = ANY($1) AND s.context = 'postmaster' AND f.setting <> s.setting
          AND f.seqno = (SELECT max(seqno) FROM pg_file_settings l WHERE l.name = f.name)
        ORDER BY 1`,
      [watched],
    );
    return rows.map((each) => each.name);
  });
}
