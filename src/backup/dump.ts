import { objectNames } from "../archive/backup-id.ts";
import { type Contents, encodeContents, type Selection } from "../archive/contents.ts";
import { ArchiveReader } from "../archive/custom-format.ts";
import type { FanOut } from "../archive/fan-out.ts";
import {
  estimateRows,
  exactPattern,
  findLargeTables,
  type LargeTable,
  SharedSnapshot,
} from "../archive/large-tables.ts";
import type { ManifestObject } from "../archive/manifest.ts";
import type { DatabaseTarget } from "../config/environment.ts";
import { inParallel } from "../core/parallel.ts";
import type { Sealer } from "../crypto/sealer.ts";
import { connectionEnvironment, withConnection } from "../postgres/connection.ts";
import { findProgram, type Program, RunningProgram } from "../postgres/programs.ts";
import type { Report } from "../run/operation.ts";
import { compress } from "../storage/zstd.ts";
import { DumpProgress } from "./dump-progress.ts";
import { dataOptions, objectOptions } from "./selection.ts";

export interface DumpSettings {
  readonly id: string;
  readonly database: DatabaseTarget;
  readonly serverMajor: number;
  /** How many pg_dump processes at once. */
  readonly jobs: number;
  /** With several jobs: tables from this size on (bytes) have an object of their own. */
  readonly splitFrom: number;
  /** Milliseconds to wait for a table that something else has locked. */
  readonly lockTimeout: number;
  readonly globals: boolean;
  readonly selection: Selection;
}

export interface Dumped {
  readonly program: Program;
  readonly objects: readonly ManifestObject[];
  readonly tables: number;
  readonly rows: number;
  /** What pg_dump wrote, before compression. */
  readonly plainBytes: number;
}

/** What becomes one object of the backup. */
type Stream =
  | { readonly content: "main"; readonly without: readonly LargeTable[] }
  | { readonly content: "table"; readonly table: LargeTable; readonly number: number }
  | { readonly content: "globals" };

/**
 * Dumps the database into objects of the stores: one archive with everything, or, with several jobs, one with
 * everything but the rows of the large tables, and one for each of those, all of the same snapshot. Nothing of it is
 * on a disk before it is encrypted.
 */
export async function dumpDatabase(
  settings: DumpSettings,
  out: FanOut,
  sealer: Sealer,
  report: Report,
  signal: AbortSignal,
): Promise<Dumped> {
  const { database } = settings;
  const program = await findProgram("pg_dump", settings.serverMajor);
  const { large, rows } = await withConnection(database, { signal }, async (client) => ({
    large: settings.jobs > 1 ? await findLargeTables(client, settings.splitFrom) : [],
    rows: await estimateRows(client),
  }));
  const work = new DumpWork(settings, program, out, sealer, new DumpProgress(report, database.name, rows));
  // Before anything is locked: what is not dumped may be nobody's business who dumps.
  const own = await work.selected(large, signal);
  if (own.length === 0) return work.run([{ content: "main", without: [] }], undefined, signal);
  const snapshot = await SharedSnapshot.open(database, own, settings.lockTimeout, signal);
  try {
    const streams: Stream[] = own.map((table, index) => ({ content: "table", table, number: index + 1 }));
    return await work.run([{ content: "main", without: own }, ...streams], snapshot.id, signal);
  } finally {
    await snapshot.close();
  }
}

class DumpWork {
  private readonly settings: DumpSettings;
  private readonly program: Program;
  private readonly out: FanOut;
  private readonly sealer: Sealer;
  private readonly progress: DumpProgress;
  private readonly tables: Contents["tables"] = [];

  constructor(settings: DumpSettings, program: Program, out: FanOut, sealer: Sealer, progress: DumpProgress) {
    this.settings = settings;
    this.program = program;
    this.out = out;
    this.sealer = sealer;
    this.progress = progress;
  }

  /** Of the large tables those that the selection takes up: pg_dump itself reads the patterns. */
  async selected(large: readonly LargeTable[], signal: AbortSignal): Promise<readonly LargeTable[]> {
    const options = objectOptions(this.settings.selection);
    if (options.length === 0 || large.length === 0) return large;
    const archive = new ArchiveReader();
    const dump = await this.start([...options, "--schema-only"], signal);
    try {
      for await (const chunk of dump.lentOutput()) archive.write(chunk);
      archive.finish();
    } finally {
      await dump.stop();
    }
    const entries = archive.entries ?? [];
    const taken = new Set(
      entries
        .filter((each) => each.description === "TABLE")
        .map(({ schema, tag }) => exactPattern({ schema, name: tag })),
    );
    return large.filter((each) => taken.has(exactPattern(each)));
  }

  async run(streams: readonly Stream[], snapshot: string | undefined, signal: AbortSignal): Promise<Dumped> {
    const { jobs, selection, id } = this.settings;
    const all: readonly Stream[] = this.settings.globals ? [...streams, { content: "globals" }] : streams;
    const dumped = await inParallel(all, jobs, signal, (stream, each) => this.write(stream, snapshot, each));
    const { tables } = this;
    const contents = encodeContents({ selection, tables });
    const name = objectNames(id, this.sealer.suffix).contents;
    const objects = [...dumped, await this.store(name, "contents", contents, undefined, signal)];
    return {
      program: this.program,
      objects,
      tables: tables.length,
      rows: tables.reduce((sum, each) => sum + each.rows, 0),
      plainBytes: objects.reduce((sum, each) => sum + each.plainBytes, 0),
    };
  }

  private async write(
    stream: Stream,
    snapshot: string | undefined,
    signal: AbortSignal,
  ): Promise<ManifestObject> {
    const names = objectNames(this.settings.id, this.sealer.suffix);
    const name = stream.content === "table" ? names.table(stream.number) : names[stream.content];
    const archive = stream.content === "globals" ? undefined : new ArchiveReader();
    const running = await (stream.content === "globals"
      ? this.startGlobals(signal)
      : this.start(this.dumpOptions(stream, snapshot), signal));
    try {
      const object = await this.store(name, stream.content, running.lentOutput(), archive, signal);
      this.tables.push(...(archive?.finish() ?? []).map((each) => ({ ...each, object: name })));
      return object;
    } finally {
      await running.stop();
    }
  }

  private dumpOptions(
    stream: Exclude<Stream, { content: "globals" }>,
    snapshot: string | undefined,
  ): readonly string[] {
    const { selection } = this.settings;
    return [
      ...(stream.content === "main"
        ? [
            ...objectOptions(selection),
            ...stream.without.map((each) => `--exclude-table-data=${exactPattern(each)}`),
          ]
        : ["--data-only", `--table=${exactPattern(stream.table)}`]),
      ...dataOptions(selection),
      ...(snapshot === undefined ? [] : [`--snapshot=${snapshot}`]),
    ];
  }

  private async store(
    name: string,
    content: ManifestObject["content"],
    source: AsyncIterable<Uint8Array>,
    archive: ArchiveReader | undefined,
    signal: AbortSignal,
  ): Promise<ManifestObject> {
    let plainBytes = 0;
    const { progress } = this;
    async function* counted(): AsyncGenerator<Uint8Array> {
      for await (const chunk of source) {
        plainBytes += chunk.length;
        const rows = archive?.rows ?? 0;
        archive?.write(chunk);
        progress.add(chunk.length, (archive?.rows ?? 0) - rows);
        yield chunk;
      }
      // Before the last encrypted byte is written: what is no archive never becomes an object.
      archive?.finish();
    }
    const written = await this.out.put(name, this.sealer.encrypt(compress(counted())), signal);
    return { name, content, ...written, plainBytes };
  }

  private async start(options: readonly string[], signal: AbortSignal): Promise<RunningProgram> {
    const args = [
      "--format=custom",
      "--compress=0",
      "--no-password",
      `--lock-wait-timeout=${Math.round(this.settings.lockTimeout)}`,
      ...options,
    ];
    return new RunningProgram(
      this.program,
      args,
      await connectionEnvironment(this.settings.database),
      signal,
    );
  }

  /** Who may not read the roles' passwords dumps the roles without them. */
  private async startGlobals(signal: AbortSignal): Promise<RunningProgram> {
    const { database, serverMajor } = this.settings;
    const { mayReadPasswords, name } = await withConnection(database, { signal }, async (client) => {
      const { rows } = await client.query<{ mayReadPasswords: boolean; name: string }>(
        `SELECT has_table_privilege('pg_authid', 'SELECT') AS "mayReadPasswords", current_database() AS name`,
      );
      return rows[0] ?? { mayReadPasswords: false, name: "postgres" };
    });
    const environment = await connectionEnvironment(database);
    const program = await findProgram("pg_dumpall", serverMajor);
    const args = ["--globals-only", "--no-password", `--database=${connectionText(name)}`];
    return new RunningProgram(
      program,
      mayReadPasswords ? args : [...args, "--no-role-passwords"],
      environment,
      signal,
    );
  }
}

/** As `dbname='…'`: a name with an equals sign would be read as a list of parameters. */
function connectionText(database: string): string {
  return `dbname='${database.replaceAll(/[\\']/g, "\\$&")}'`;
}
