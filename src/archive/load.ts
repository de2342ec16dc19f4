import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { OpsError } from "../core/errors.ts";
import { inParallel } from "../core/parallel.ts";
import { findProgram, type Program, RunningProgram } from "../postgres/programs.ts";
import { corrupt } from "./catalog.ts";
import { type ArchiveEntry, ArchiveReader } from "./custom-format.ts";
import type { ManifestObject } from "./manifest.ts";
import { mainObject, type ReadableBackup, readPlain } from "./read-object.ts";
import { printedSchema, withMappedRoles } from "./roles.ts";

export interface LoadOptions {
  /** The empty database to fill. */
  readonly database: string;
  /** libpq's variables for its server. */
  readonly environment: Readonly<Record<string, string>>;
  /** How many pg_restore processes at once. */
  readonly jobs: number;
  /** Further options of pg_restore: `--no-owner`. */
  readonly options: readonly string[];
  /** Default: the pg_restore of the oldest version that reads the backup. */
  readonly program?: Program;
  /** Default: everything. */
  readonly part?: BackupPart;
  /** Roles of the backup that are called otherwise on this server. Default: none. */
  readonly roles?: ReadonlyMap<string, string>;
  readonly signal: AbortSignal;
  readonly progress: LoadProgress;
}

/** Some of a backup. */
export interface BackupPart {
  /** Dump ids of the main archive's entries. */
  readonly entries: ReadonlySet<number>;
  /** Names of the objects whose rows are wanted; the main object is among them where it has some. */
  readonly objects: ReadonlySet<string>;
  readonly rows: number;
}

/** Told what is going on. */
export interface LoadProgress {
  /** @param rows how many are in `total` bytes, in the phase of that name */
  phase(name: "schema" | "rows" | "indexes", total: number | undefined, rows?: number): void;
  /** Bytes of rows, or finished entries of the indexes. */
  add(amount: number): void;
}

/**
 * Fills a database from a backup: in one pass where it is one archive and one job, otherwise the schema first, then
 * the rows of all archives, several at a time, then indexes, constraints and triggers. Ends without an error only if
 * every stored byte was as the manifest says.
 */
export async function loadBackup(backup: ReadableBackup, options: LoadOptions): Promise<void> {
  const program =
    options.program ?? (await findProgram("pg_restore", Number.parseInt(backup.manifest.dumpProgram, 10)));
  // Lists of numbers: nothing of the backup's content.
  const folder = await mkdtemp(join(tmpdir(), "ops-restore-"));
  try {
    await new LoadWork(backup, program, options, folder).run();
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** The table of contents of a backup's main archive. Reads no further than that. */
export async function readEntries(backup: ReadableBackup): Promise<readonly ArchiveEntry[]> {
  const main = mainObject(backup.manifest);
  const archive = new ArchiveReader();
  for await (const chunk of readPlain(backup, main)) {
    archive.write(chunk);
    if (archive.entries !== undefined) return archive.entries;
  }
  throw corrupt(backup.manifest.id, main.name, "is not an archive of pg_dump");
}

class LoadWork {
  private readonly backup: ReadableBackup;
  private readonly program: Program;
  private readonly options: LoadOptions;
  private readonly folder: string;
  private readonly mapping: ReadonlyMap<string, string>;

  constructor(backup: ReadableBackup, program: Program, options: LoadOptions, folder: string) {
    this.backup = backup;
    this.program = program;
    this.options = options;
    this.folder = folder;
    this.mapping = options.roles ?? new Map();
  }

  async run(): Promise<void> {
    const { jobs, part, progress, signal } = this.options;
    const { manifest } = this.backup;
    const wanted = (each: ManifestObject) => part === undefined || part.objects.has(each.name);
    const tables = manifest.objects.filter((each) => each.content === "table" && wanted(each));
    const main = mainObject(manifest);
    if (tables.length === 0 && jobs === 1 && part === undefined && this.mapping.size === 0) {
      progress.phase("rows", main.plainBytes, manifest.rows);
      await this.load(main, []);
      return;
    }
    progress.phase("schema", undefined);
    const list = part === undefined ? [] : [await this.useList("part", [...part.entries])];
    await this.loadSchema(["--section=pre-data", ...list]);
    // The largest archive first: what is left at the end is small.
    const archives = [...(wanted(main) ? [main] : []), ...tables].sort((a, b) => b.plainBytes - a.plainBytes);
    const bytes = archives.reduce((sum, each) => sum + each.plainBytes, 0);
    progress.phase("rows", bytes, part?.rows ?? manifest.rows);
    await inParallel(archives, jobs, signal, (each, stop) =>
      this.load(each, ["--section=data", ...(each === main ? list : [])], stop),
    );
    await this.loadPostData();
  }

  /** A whole archive, read to its end. */
  private async load(
    object: ManifestObject,
    sections: readonly string[],
    signal = this.options.signal,
  ): Promise<void> {
    const loading = this.start(sections, signal);
    try {
      const { progress } = this.options;
      const plain = counted(readPlain(this.backup, object), (bytes) => progress.add(bytes));
      await Promise.all([drained(loading.output()), loading.feed(plain, signal)]);
    } finally {
      await loading.stop();
    }
  }

  /** What needs no rows: of the main archive only its table of contents is read. */
  private async loadSchema(options: readonly string[], signal = this.options.signal): Promise<void> {
    if (this.mapping.size > 0) return this.loadMapped(options, signal);
    const loading = this.start(options, signal);
    try {
      const plain = readPlain(this.backup, mainObject(this.backup.manifest));
      await Promise.all([drained(loading.output()), loading.feedWhileWanted(plain)]);
    } finally {
      await loading.stop();
    }
  }

  /** pg_restore knows no other names for roles: it prints, the names are replaced, psql runs it. */
  private async loadMapped(options: readonly string[], signal: AbortSignal): Promise<void> {
    const all = [...this.options.options, ...options];
    const printed = await printedSchema(this.backup, this.program, all, signal);
    const sql = Buffer.from(await withMappedRoles(printed, this.mapping));
    const args = ["--no-psqlrc", "--quiet", "--no-password", "--set=ON_ERROR_STOP=1"];
    const psql = await findProgram("psql", this.program.major);
    const environment = { ...this.options.environment, PGDATABASE: this.options.database };
    const running = new RunningProgram(psql, args, environment, signal);
    try {
      await Promise.all([drained(running.output()), running.feed(inPieces(sql), signal)]);
    } finally {
      await running.stop();
    }
  }

  /**
   * Indexes and key constraints, several at a time: each is one statement with one table's lock, so they wait for
   * each other at worst. Then the rest (foreign keys, triggers, materialized views, …) in the archive's order.
   */
  private async loadPostData(): Promise<void> {
    const { jobs, part, progress, signal } = this.options;
    const entries = (await readEntries(this.backup)).filter(
      (each) => each.section === "post-data" && (part === undefined || part.entries.has(each.dumpId)),
    );
    progress.phase("indexes", entries.length);
    const parallel =
      jobs === 1 ? [] : entries.filter((each) => ["INDEX", "CONSTRAINT"].includes(each.description));
    const rest = entries.filter((each) => !parallel.includes(each));
    const loadBatch = async (name: string, batch: readonly ArchiveEntry[], stop: AbortSignal) => {
      if (batch.length === 0) return;
      const list = await this.useList(
        name,
        batch.map((each) => each.dumpId),
      );
      await this.loadSchema(["--section=post-data", list], stop);
      progress.add(batch.length);
    };
    const batches = batchesOf(parallel, jobs).map((batch, index) => ({ batch, name: `${index}` }));
    await inParallel(batches, jobs, signal, ({ batch, name }, stop) => loadBatch(name, batch, stop));
    await loadBatch("rest", rest, signal);
  }

  /** In the order of the numbers, which is the archive's. */
  private async useList(name: string, dumpIds: readonly number[]): Promise<string> {
    const file = join(this.folder, name);
    await writeFile(file, dumpIds.map((each) => `${each};\n`).join(""), { mode: 0o600 });
    return `--use-list=${file}`;
  }

  private start(options: readonly string[], signal: AbortSignal): RunningProgram {
    const args = [
      "--exit-on-error",
      "--no-password",
      `--dbname=${this.options.database}`,
      ...this.options.options,
      ...options,
    ];
    return new RunningProgram(this.program, args, this.options.environment, signal);
  }
}

/** Small enough that the last ones end at about the same time, and not a process for each of a thousand indexes. */
function batchesOf(entries: readonly ArchiveEntry[], jobs: number): ArchiveEntry[][] {
  const size = Math.max(1, Math.ceil(entries.length / (jobs * 8)));
  return Array.from({ length: Math.ceil(entries.length / size) }, (_, index) =>
    entries.slice(index * size, (index + 1) * size),
  );
}

async function* counted(
  source: AsyncIterable<Uint8Array>,
  onBytes: (bytes: number) => void,
): AsyncGenerator<Uint8Array> {
  for await (const chunk of source) {
    onBytes(chunk.length);
    yield chunk;
  }
}

/** So small that the pipe takes one at a time. */
async function* inPieces(text: Buffer): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < text.length; at += 65_536) yield text.subarray(at, at + 65_536);
}

async function drained(output: AsyncIterable<Buffer>): Promise<void> {
  for await (const _ of output) {
    // pg_restore into a database writes nothing of interest.
  }
}

/** Says what to do about a role that the backup names and the server does not have. */
export function explainedLoadError(error: unknown): unknown {
  if (!(error instanceof OpsError) || error.code !== "E_PROGRAM_FAILED") return error;
  const complaint = error.cause instanceof Error ? error.cause.message : "";
  if (!/role ".*" does not exist/.test(complaint)) return error;
  return new OpsError("E_ROLE_MISSING", "A role that owns something in the backup is not on this server", {
    cause: error,
    hint: "create the role, or restore with: --owners skip",
    retryable: false,
  });
}
