import type pg from "pg";

/** A table as a statement names it. */
export interface RelationName {
  readonly schema: string | undefined;
  readonly name: string;
}

export interface Column {
  readonly typeOid: number;
  readonly typmod: number;
  readonly type: string;
  readonly notNull: boolean;
}

export interface LiveTable {
  /** As the server writes it: `orders`. */
  readonly name: string;
  /** With indexes, TOAST and all partitions, in bytes. */
  readonly bytes: number;
  /** The planner's estimate; undefined where the table was never analyzed. */
  readonly rows: number | undefined;
  readonly indexes: number;
  readonly columns: ReadonlyMap<string, Column>;
  /** Columns that a valid CHECK (column IS NOT NULL) already proves to be without null. */
  readonly provenNotNull: ReadonlySet<string>;
  /** The column of each CHECK (column IS NOT NULL), valid or not, by the constraint's name. */
  readonly notNullChecks: ReadonlyMap<string, string>;
}

/** What a running server knows about the tables that migrations change. Only reads. */
export class LiveDatabase {
  /** As `server_version_num`: 150018. */
  readonly serverVersion: number;
  private readonly client: pg.ClientBase;
  private readonly tables = new Map<string, Promise<LiveTable | undefined>>();

  private constructor(client: pg.ClientBase, serverVersion: number) {
    this.client = client;
    this.serverVersion = serverVersion;
  }

  static async over(client: pg.ClientBase): Promise<LiveDatabase> {
    const { rows } = await client.query<{ server_version_num: string }>("SHOW server_version_num");
    return new LiveDatabase(client, Number(rows[0]?.server_version_num ?? 0));
  }

  get major(): number {
    return Math.floor(this.serverVersion / 10_000);
  }

  /** Undefined where there is no such table. */
  async table(relation: RelationName): Promise<LiveTable | undefined> {
    const key = JSON.stringify([relation.schema ?? null, relation.name]);
    const known = this.tables.get(key) ?? this.read(relation);
    this.tables.set(key, known);
    return known;
  }

  /** Whether a function of that name may give another value in every row. */
  async isVolatile(names: readonly string[]): Promise<boolean> {
    const { rows } = await this.client.query<{ volatile: boolean }>(
      "SELECT EXISTS (SELECT FROM pg_proc WHERE proname = ANY ($1) AND provolatile = 'v') AS volatile",
      [names],
    );
    return rows[0]?.volatile === true;
  }

  /** Whether the type is a domain with a CHECK or NOT NULL, its own or that of a domain below it. */
  async isConstrainedDomain(name: readonly string[]): Promise<boolean> {
    const { rows } = await this.client.query<{ constrained: boolean }>(
      `WITH RECURSIVE below AS (
         SELECT t.* FROM pg_type AS t
          WHERE t.oid = to_regtype((SELECT string_agg(quote_ident(part), '.') FROM unnest($1::text[]) AS part))
         UNION ALL
         SELECT t.* FROM below JOIN pg_type AS t ON t.oid = below.typbasetype AND below.typtype = 'd')
       SELECT EXISTS (SELECT FROM below
                       WHERE typtype = 'd' AND (typnotnull OR EXISTS (
                             SELECT FROM pg_constraint WHERE contypid = below.oid AND contype = 'c'))) AS constrained`,
      [name],
    );
    return rows[0]?.constrained === true;
  }

  /** The type's oid, and whether values of the old type are stored as they are in the new one. */
  async typeChange(from: number, to: string): Promise<{ oid: number; sameStorage: boolean } | undefined> {
    const { rows } = await this.client.query<{ oid: number | null; sameStorage: boolean }>(
      `SELECT oid::int, oid = $2 OR EXISTS (
                SELECT FROM pg_cast WHERE castsource = $2 AND casttarget = new_type.oid AND castmethod = 'b') AS "sameStorage"
         FROM (SELECT to_regtype($1)::oid AS oid) AS new_type`,
      [to, from],
    );
    const [row] = rows;
    return row === undefined || row.oid === null ? undefined : { oid: row.oid, sameStorage: row.sameStorage };
  }

  private async read({ schema, name }: RelationName): Promise<LiveTable | undefined> {
    const { rows } = await this.client.query<{
      oid: number;
      name: string;
      bytes: string;
      rows: number;
      indexes: number;
      columns: [string, Column][] | null;
      checks: [name: string, column: string, valid: boolean][] | null;
    }>(tableQuery, [schema ?? null, name]);
    const [row] = rows;
    if (row === undefined) return undefined;
    const checks = row.checks ?? [];
    return {
      name: row.name,
      bytes: Number(row.bytes),
      rows: row.rows < 0 ? undefined : row.rows,
      indexes: row.indexes,
      columns: new Map(row.columns ?? []),
      provenNotNull: new Set(checks.flatMap(([, column, valid]) => (valid ? [column] : []))),
      notNullChecks: new Map(checks.map(([name, column]) => [name, column])),
    };
  }
}

const tableQuery = `
  SELECT c.oid::int, c.oid::regclass::text AS name,
         (SELECT sum(pg_total_relation_size(part)) FROM unnest(parts) AS part)::text AS bytes,
         (SELECT CASE WHEN min(reltuples) < 0 THEN -1 ELSE sum(reltuples) END::float8
            FROM pg_class WHERE oid = ANY (parts) AND relkind <> 'p') AS rows,
         (SELECT count(*)::int FROM pg_index WHERE indrelid = c.oid) AS indexes,
         (SELECT jsonb_agg(jsonb_build_array(attname, jsonb_build_object('typeOid', atttypid::int8, 'typmod', atttypmod,
                   'type', format_type(atttypid, atttypmod), 'notNull', attnotnull)))
            FROM pg_attribute WHERE attrelid = c.oid AND attnum > 0 AND NOT attisdropped) AS columns,
         (SELECT jsonb_agg(jsonb_build_array(k.conname, attname, k.convalidated))
            FROM pg_attribute AS a JOIN pg_constraint AS k ON k.conrelid = a.attrelid
           WHERE a.attrelid = c.oid AND k.contype = 'c' AND NOT k.connoinherit
             AND starts_with(pg_get_constraintdef(k.oid), format('CHECK ((%I IS NOT NULL))', attname))) AS checks
    FROM pg_class AS c,
         LATERAL (SELECT coalesce(array_agg(relid::oid), ARRAY[c.oid]) AS parts FROM pg_partition_tree(c.oid)) AS tree
   WHERE c.oid = to_regclass(CASE WHEN $1::text IS NULL THEN '' ELSE quote_ident($1) || '.' END || quote_ident($2))
     AND c.relkind IN ('r', 'p', 'm')`;
