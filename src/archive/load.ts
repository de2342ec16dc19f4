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

export interface LoadOptions {
  /** The empty database to fill. */
  readonly database: string;
  /** libpq's variables for its server. */
  readonly environment: Readonly<Record<string, string>>;
  /** How many pg_restore processes at once. */
  readonly jobs: number;
  /** Further options of pg_restore: `--no-owner`. */
  readonly options: readonly string[];
  readonly signal: AbortSignal;
  readonly progress: LoadProgress;
}

/** Told what is going on. */
export interface LoadProgress {
  phase(name: "schema" | "rows" | "indexes", total: number | undefined): void;
  /** Bytes of rows, or finished entries of the indexes. */
  add(amount: number): void;
}

/**
 * Fills a database from a backup: in one pass where it is one archive and one job, otherwise the schema first, then
 * the rows of all archives, several at a time, then indexes, constraints and triggers. Ends without an error only if
 * every stored byte was as the manifest says.
 */
export async function loadBackup(backup: ReadableBackup, options: LoadOptions): Promise<void> {
  const program = await findProgram("pg_restore", Number.parseInt(backup.manifest.dumpProgram, 10));
  const work = new LoadWork(backup, program, options);
  const tables = backup.manifest.objects.filter((each) => each.content === "table");
  const main = mainObject(backup.manifest);
  if (tables.length === 0 && options.jobs === 1) {
    options.progress.phase("rows", main.plainBytes);
    await work.load(main, []);
    return;
  }
  options.progress.phase("schema", undefined);
  await work.loadHead(["--section=pre-data"]);
  options.progress.phase(
    "rows",
    tables.reduce((sum, each) => sum + each.plainBytes, main.plainBytes),
  );
  // The largest archive first: what is left at the end is small.
  const bySize = [main, ...tables].sort((a, b) => b.plainBytes - a.plainBytes);
  await inParallel(bySize, options.jobs, options.signal, (each, signal) =>
    work.load(each, ["--section=data"], signal),
  );
  await work.loadPostData();
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

  constructor(backup: ReadableBackup, program: Program, options: LoadOptions) {
    this.backup = backup;
    this.program = program;
    this.options = options;
  }

  /** A whole archive, read to its end. */
  async load(
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
  async loadHead(options: readonly string[], signal = this.options.signal): Promise<void> {
    const loading = this.start(options, signal);
    try {
      const plain = readPlain(this.backup, mainObject(this.backup.manifest));
      await Promise.all([drained(loading.output()), loading.feedWhileWanted(plain)]);
    } finally {
      await loading.stop();
    }
  }

  /**
   * Indexes and key constraints, several at a time: each is one statement with one table's lock, so they wait for
   * each other at worst. Then the rest (foreign keys, triggers, materialized views, …) in the archive's order.
   */
  async loadPostData(): Promise<void> {
    const { jobs, progress, signal } = this.options;
    const entries = (await readEntries(this.backup)).filter((each) => each.section === "post-data");
    progress.phase("indexes", entries.length);
    const parallel =
      jobs === 1 ? [] : entries.filter((each) => ["INDEX", "CONSTRAINT"].includes(each.description));
    const rest = entries.filter((each) => !parallel.includes(each));
    const folder = await mkdtemp(join(tmpdir(), "ops-restore-"));
    try {
      const batches = batchesOf(parallel, jobs).map((batch, index) => ({
        batch,
        file: join(folder, `${index}`),
      }));
      const loadBatch = async (batch: readonly ArchiveEntry[], file: string, each: AbortSignal) => {
        if (batch.length === 0) return;
        // Numbers only: nothing of the backup's content.
        await writeFile(file, batch.map((each) => `${each.dumpId};\n`).join(""), { mode: 0o600 });
        await this.loadHead(["--section=post-data", `--use-list=${file}`], each);
        progress.add(batch.length);
      };
      await inParallel(batches, jobs, signal, ({ batch, file }, each) => loadBatch(batch, file, each));
      await loadBatch(rest, join(folder, "rest"), signal);
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
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
