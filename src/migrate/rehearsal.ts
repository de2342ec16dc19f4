import type pg from "pg";
import { causeText, OpsError } from "../core/errors.ts";
import { readSchema } from "../postgres-schema/read-schema.ts";
import type { DatabaseSchema } from "../postgres-schema/schema-object.ts";
import { type MeasuredDatabase, recordFile } from "./lock-recorder.ts";
import { type Migration, title } from "./migration-file.ts";
import type { TestedMigration } from "./report.ts";
import { dataLosses, positionsNotBack } from "./test/data-loss.ts";
import { schemaDifferences } from "./test/schema-differences.ts";
import { readSequencePositions, type SequencePositions } from "./test/sequence-positions.ts";
import { type Contents, readContents } from "./test/table-contents.ts";
import { verificationProblem } from "./test/verification.ts";

type Problem = NonNullable<TestedMigration["problem"]>;

/** What the database is between two migrations. */
interface State {
  readonly schema: DatabaseSchema;
  readonly contents: Contents;
  readonly positions: SequencePositions;
}

export interface Rehearsed {
  /** In order; ends with the migration that left the database in an unknown state, where one did. */
  readonly results: TestedMigration[];
  /** Whether that one is applied nevertheless: then what comes after it could be tested in a new database. */
  readonly lastIsApplied: boolean;
}

/**
 * Each migration in turn: up, verify, down, up again, in a database that nobody else uses. After the down the schema
 * must be what it was before the up, object by object; after the second up, what it was after the first. Ends early
 * where a migration leaves the database in an unknown state.
 */
export async function rehearse(
  database: MeasuredDatabase,
  migrations: readonly Migration[],
  onMigration: (migration: Migration) => void,
): Promise<Rehearsed> {
  const results: TestedMigration[] = [];
  let state: State | undefined = await readState(database.client, database);
  for (const migration of migrations) {
    onMigration(migration);
    const rehearsal: MigrationRehearsal = new MigrationRehearsal(database, migration, state);
    state = await rehearsal.run();
    results.push(rehearsal.result);
    if (state === undefined) return { results, lastIsApplied: rehearsal.result.up !== null };
  }
  return { results, lastIsApplied: true };
}

/** What is said about a migration that the test did not come to. */
export function notTested(migration: Migration): TestedMigration {
  return { ...blank(migration), verdict: "not-tested" };
}

class MigrationRehearsal {
  result: TestedMigration;
  private readonly database: MeasuredDatabase;
  private readonly migration: Migration;
  private readonly before: State;

  constructor(database: MeasuredDatabase, migration: Migration, before: State) {
    this.database = database;
    this.migration = migration;
    this.before = before;
    this.result = blank(migration);
  }

  /** What the next migration finds; undefined where that is not what the migrations give. */
  async run(): Promise<State | undefined> {
    const { database, migration, before } = this;
    let unverified: string | undefined;
    const up = await this.attempt("up", () =>
      recordFile(database, migration.up, async (where) => {
        unverified = await verificationProblem(database.client, migration, where);
      }),
    );
    if (up === undefined) return undefined;
    this.result = { ...this.result, up: up.run };
    if (unverified !== undefined) this.fail("verify", unverified);
    const after = await readState(database.client, database, before.contents, up.written);
    return migration.down === undefined ? after : this.downAndUpAgain(migration.down, after);
  }

  private async downAndUpAgain(file: Migration["up"], after: State): Promise<State | undefined> {
    const { database, migration, before } = this;
    const down = await this.attempt("down", () => recordFile(database, file));
    // A file that ran in a transaction is rolled back: the next migration stands on firm ground.
    if (down === undefined) {
      const unchanged = schemaDifferences(after.schema, await readSchema(database.client)).length === 0;
      return unchanged ? after : undefined;
    }
    const afterDown = await readState(database.client, database, after.contents, down.written);
    const moments = {
      beforeUp: before.contents,
      afterUp: after.contents,
      afterDown: afterDown.contents,
    };
    const dataLoss = [...dataLosses(moments), ...positionsNotBack(before.positions, afterDown.positions)];
    this.result = { ...this.result, down: down.run, dataLoss };
    const left = schemaDifferences(before.schema, afterDown.schema);
    if (left.length > 0) {
      this.fail(
        "schema-after-down",
        `${file.name} does not bring back the schema from before ${title(migration)}`,
        left,
      );
    }
    const again = await this.attempt("up-again", () => recordFile(database, migration.up));
    if (again === undefined) return undefined;
    const afterAgain = await readState(database.client, database, afterDown.contents, again.written);
    const other = schemaDifferences(after.schema, afterAgain.schema);
    if (other.length === 0) return afterAgain;
    this.fail("schema-after-up-again", `${migration.up.name} gives another schema the second time`, other);
    return undefined;
  }

  private async attempt<T>(step: Problem["step"], work: () => Promise<T>): Promise<T | undefined> {
    try {
      return await work();
    } catch (error) {
      // What the file is to blame for is an answer; a lost server or an interruption is not.
      if (!(error instanceof OpsError) || !blamesFile(error)) throw error;
      this.fail(step, [error.message, causeText(error.cause)].filter(Boolean).join(": "));
      return undefined;
    }
  }

  /** The first problem is the one to mend. */
  private fail(step: Problem["step"], message: string, differences: string[] = []): void {
    if (this.result.problem !== null) return;
    this.result = { ...this.result, verdict: "fail", problem: { step, message, differences } };
  }
}

function blamesFile(error: OpsError): boolean {
  return /^E_(MIGRATION|SQL)/.test(error.code);
}

function blank({ version, name, down }: Migration): TestedMigration {
  return {
    version,
    name,
    verdict: "pass",
    oneWay: down === undefined,
    problem: null,
    up: null,
    down: null,
    dataLoss: [],
  };
}

/** Of the tables, reads again only those that were written to. */
async function readState(
  client: pg.Client,
  { sizes }: Pick<MeasuredDatabase, "sizes">,
  contents?: Contents,
  written?: ReadonlySet<string>,
): Promise<State> {
  const earlier = contents === undefined ? undefined : { contents, written };
  return {
    schema: await readSchema(client),
    contents: await readContents(client, sizes, earlier),
    positions: await readSequencePositions(client),
  };
}
