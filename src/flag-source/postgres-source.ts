import type pg from "pg";
import type { DatabaseTarget } from "../config/environment.ts";
import type { Json } from "../core/errors.ts";
import { connect, databaseError } from "../postgres/connection.ts";
import { definitionSchema, type FlagDefinition, type Rule, type Scalar } from "./definition.ts";
import { type Difference, emptySet, type FlagSet } from "./flag-set.ts";
import type { ChangeNote, FlagChange, FlagSource } from "./flag-source.ts";
import type { Finding } from "./lint.ts";
import { ensureFlagTables, limitWaiting, lockFlags, tableForm } from "./postgres-tables.ts";
import { watchDatabase } from "./postgres-watch.ts";
import { changedByHand, prepared } from "./prepared.ts";
import { simpleFlag } from "./simple-flag.ts";

type FlagRow = { name: string; definition: string; changedAt: string; changedBy: string | null };

const utc = (column: string) => `to_char(${column} AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')`;

/** Flags in tables of the schema `ops`. Guarantee: a change is one transaction, its history included. */
export class PostgresFlagSource implements FlagSource {
  readonly place: string;
  private readonly database: DatabaseTarget;
  private readonly signal: AbortSignal;
  private readonly queryTimeout: number | undefined;
  private client: pg.Client | undefined;

  constructor(
    database: DatabaseTarget,
    { signal, queryTimeout }: { readonly signal: AbortSignal; readonly queryTimeout?: number },
  ) {
    this.place = `database ${database.name}`;
    this.database = database;
    this.signal = signal;
    this.queryTimeout = queryTimeout;
  }

  read(): Promise<FlagSet> {
    return this.work((client) =>
      inTransaction(client, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", () => readSet(client)),
    );
  }

  async writtenFindings(): Promise<readonly Finding[]> {
    return [];
  }

  update(note: ChangeNote, edit: (now: FlagSet) => FlagSet): Promise<FlagSet> {
    return this.work(async (client) => {
      // Nothing is made for an edit that is refused.
      if ((await tableForm(client)) !== "current") prepared(await readSet(client), edit, note);
      await ensureFlagTables(client);
      return inTransaction(client, "BEGIN", async () => {
        await limitWaiting(client);
        await lockFlags(client);
        const texts: StoredTexts = new Map();
        const now = await readSet(client, texts);
        const { next, changes } = prepared(now, edit, note);
        for (const change of changes) await this.write(client, note, change, next, texts);
        return next;
      });
    });
  }

  changes({ flag, limit }: { flag?: string | undefined; limit: number }): Promise<FlagChange[]> {
    return this.work(async (client) => {
      if ((await tableForm(client)) !== "current") return [];
      const { rows } = await client.query<FlagChange>(
        `SELECT ${utc("at")} AS at, actor, run, operation, reason, subject, name, before, after
           FROM ops.flag_change WHERE $1::text IS NULL OR (subject = 'flag' AND name = $1)
          ORDER BY id DESC LIMIT $2`,
        [flag ?? null, limit],
      );
      return rows;
    });
  }

  watch(changed: () => void, signal: AbortSignal): Promise<void> {
    return watchDatabase(this.database, changed, signal);
  }

  async close(): Promise<void> {
    await this.client?.end().catch(() => undefined);
    this.client = undefined;
  }

  /** On one connection, opened when it is first needed. */
  private async work<T>(work: (client: pg.Client) => Promise<T>): Promise<T> {
    const { signal, queryTimeout } = this;
    this.client ??= await connect(this.database, { signal, queryTimeout, applicationName: "ops flag" });
    try {
      return await work(this.client);
    } catch (error) {
      if (this.signal.aborted) throw this.signal.reason;
      throw databaseError(this.database, error);
    }
  }

  private async write(
    client: pg.Client,
    note: ChangeNote,
    { subject, name, before, after }: Difference,
    next: FlagSet,
    texts: StoredTexts,
  ): Promise<void> {
    const text = after === null ? null : JSON.stringify(after);
    if (subject === "flag") await this.writeFlag(client, note, name, texts.get(name), text);
    else if (text === null) {
      await client.query("DELETE FROM ops.flag_shared WHERE kind = $1 AND name = $2", [subject, name]);
    } else {
      const order = [...(subject === "segment" ? next.evaluators : next.metadata).keys()];
      await client.query(
        `INSERT INTO ops.flag_shared (kind, name, position, definition) VALUES ($1, $2, 0, $3)
         ON CONFLICT (kind, name) DO UPDATE SET definition = excluded.definition`,
        [subject, name, text],
      );
      await client.query(
        `UPDATE ops.flag_shared SET position = new.position
           FROM unnest($2::text[]) WITH ORDINALITY AS new (name, position)
          WHERE kind = $1 AND flag_shared.name = new.name AND flag_shared.position <> new.position`,
        [subject, order],
      );
    }
    await client.query(
      `INSERT INTO ops.flag_change (actor, run, operation, reason, subject, name, before, after)
       VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`,
      [
        note.actor,
        note.run ?? null,
        note.operation,
        note.reason ?? null,
        subject,
        name,
        before === null ? null : JSON.stringify(before),
        text,
      ],
    );
  }

  /**
   * Only where the row still is what was read: a change by hand, past our lock, must not be lost. Compared as text: not every
   * JSON is a jsonb, and a flag with such a text must be killed as well.
   */
  private async writeFlag(
    client: pg.Client,
    note: ChangeNote,
    name: string,
    before: string | undefined,
    text: string | null,
  ): Promise<void> {
    const { rowCount } =
      text === null
        ? await client.query("DELETE FROM ops.flag WHERE name = $1 AND definition::text = $2", [name, before])
        : before === undefined
          ? await client.query(
              `INSERT INTO ops.flag (name, definition, updated_by) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING`,
              [name, text, note.actor],
            )
          : await client.query(
              `UPDATE ops.flag SET definition = $2, updated_at = now(), updated_by = $3
                WHERE name = $1 AND definition::text = $4`,
              [name, text, note.actor, before],
            );
    if (rowCount !== 1) throw changedByHand(name, this.place);
  }
}

/** Of each flag, by its name: its definition as the database has it. */
type StoredTexts = Map<string, string>;

/** @param texts gets the definitions as they are written */
async function readSet(client: pg.ClientBase, texts?: StoredTexts): Promise<FlagSet> {
  const form = await tableForm(client);
  if (form === "missing") return emptySet;
  if (form === "simple") return readSimple(client);
  const { rows } = await client.query<FlagRow>(
    `SELECT name, definition::text AS definition, ${utc("updated_at")} AS "changedAt", updated_by AS "changedBy"
       FROM ops.flag ORDER BY name COLLATE "C"`,
  );
  for (const { name, definition } of rows) texts?.set(name, definition);
  const { rows: shared } = await client.query<{ kind: string; name: string; definition: Rule }>(
    "SELECT kind, name, definition FROM ops.flag_shared ORDER BY position, name",
  );
  const of = (kind: string) => shared.filter((each) => each.kind === kind);
  const read = rows.map((row) => ({ ...row, value: JSON.parse(row.definition) as Json }));
  const isRead = ({ value }: { value: Json }) => definitionSchema.safeParse(value).success;
  const unreadable = read.filter((row) => !isRead(row));
  return {
    flags: new Map(
      read.filter(isRead).map(({ name, value, changedAt, changedBy }) => {
        return [name, { definition: value as FlagDefinition, changedAt, changedBy }];
      }),
    ),
    ...(unreadable.length > 0 && {
      unreadable: new Map(unreadable.map(({ name, value }) => [name, value])),
    }),
    evaluators: new Map(of("segment").map(({ name, definition }) => [name, definition])),
    metadata: new Map(of("metadata").map(({ name, definition }) => [name, definition as Scalar])),
  };
}

/** What a table of the first form says, before the first change brings it over. */
async function readSimple(client: pg.ClientBase): Promise<FlagSet> {
  const { rows } = await client.query<{
    name: string;
    enabled: boolean;
    rollout: number;
    description: string | null;
    changedAt: string;
    changedBy: string | null;
  }>(
    `SELECT name, enabled, rollout::float8 AS rollout, description, ${utc("updated_at")} AS "changedAt",
            updated_by AS "changedBy" FROM ops.flag ORDER BY name COLLATE "C"`,
  );
  const flags = rows.map(
    ({ name, changedAt, changedBy, ...row }) =>
      [name, { definition: simpleFlag(row), changedAt, changedBy }] as const,
  );
  return { ...emptySet, flags: new Map(flags) };
}

async function inTransaction<T>(client: pg.Client, begin: string, work: () => Promise<T>): Promise<T> {
  await client.query(begin);
  try {
    const result = await work();
    await client.query("COMMIT");
    return result;
  } catch (error) {
    // A connection that broke has rolled back by itself; the first error is the one to tell.
    await client.query("ROLLBACK").catch(() => undefined);
    throw error;
  }
}
