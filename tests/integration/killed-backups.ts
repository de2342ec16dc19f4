import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { S3 } from "@aws-sdk/client-s3";
import type { OperationContext } from "../../src/run/context.ts";
import { runState } from "../../src/run/run-state.ts";
import { SqliteJournal } from "../../src/run/sqlite-journal.ts";
import { cephClient, newBucket, s3Settings } from "../support/ceph.ts";
import { perform, testContext } from "../support/context.ts";
import { type OpsResult, ops } from "../support/ops.ts";
import { BackupSetting, filesIn, operation } from "./backup-setting.ts";

/** Where a command is killed. */
export type KillPoint =
  | { readonly change: number; readonly when: "before" | "sent" }
  | { readonly entry: number; readonly when: "before" | "after" }
  | { readonly after: number };

const atChange = fileURLToPath(new URL("../support/kill-at-change.mjs", import.meta.url));
const atEntry = fileURLToPath(new URL("../support/kill-at-entry.mjs", import.meta.url));
const storeNames = ["local", "offsite"] as const;

/** About 14 MB of rows that hardly compress: several parts of an upload, and an archive of its own with two jobs. */
const schema = `
  CREATE TABLE noise AS SELECT i, array_to_string(ARRAY(
    SELECT md5(random()::text || i || part) FROM generate_series(1, 20) part), '') AS body
    FROM generate_series(1, 24000) i;
  CREATE TABLE more AS SELECT i, md5(random()::text) AS body FROM generate_series(1, 30000) i;
  CREATE TABLE small AS SELECT 1 AS x;
`;

/** What changes nothing asks nothing. */
const confirmed = (args: readonly string[]) => (args[1] === "verify" ? args : [...args, "--yes"]);

/** A database, a store in a folder and one on S3, and the built command to be killed while it works with them. */
export class KilledBackups {
  readonly setting: BackupSetting;
  readonly context: OperationContext;
  readonly bucket: string;
  /** Of `.opsrc` and the journal. */
  readonly directory: string;
  private readonly s3: S3;
  private readonly localFolder: string;

  private constructor(
    setting: BackupSetting,
    context: OperationContext,
    bucket: string,
    directory: string,
    localFolder: string,
    s3: S3,
  ) {
    this.setting = setting;
    this.context = context;
    this.bucket = bucket;
    this.directory = directory;
    this.localFolder = localFolder;
    this.s3 = s3;
  }

  static async start(): Promise<KilledBackups> {
    const setting = await BackupSetting.start();
    const bucket = await newBucket();
    const directory = await mkdtemp(join(setting.folder, "project-"));
    const prepared = await setting.prepare(schema);
    const { identity, recipients } = prepared.store;
    const offsite = await s3Settings(bucket, { "part-size": "5MiB" });
    const retention = { last: 1 };
    const stores = {
      local: { ...prepared.store, retention },
      offsite: { ...offsite, recipients, identity, retention },
    };
    const settings = { databases: prepared.settings.databases, stores };
    // JSON is YAML.
    await writeFile(join(directory, ".opsrc"), JSON.stringify(settings), { mode: 0o600 });
    const context = testContext(settings, { directory });
    return new KilledBackups(setting, context, bucket, directory, prepared.directory, await cephClient());
  }

  async stop(): Promise<void> {
    this.s3.destroy();
    await this.setting.stop();
  }

  /** The built command, as a user runs it. */
  run(args: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<OpsResult> {
    return ops(confirmed(args), { cwd: this.directory, env, timeout: 300_000 });
  }

  /** The same, killed there; or at its end, where it does not come so far. */
  killed(args: readonly string[], point: KillPoint): Promise<OpsResult> {
    if ("after" in point) {
      return ops(confirmed(args), { cwd: this.directory, timeout: Math.max(1, point.after) });
    }
    const isChange = "change" in point;
    return this.run(args, {
      NODE_OPTIONS: `--import=${isChange ? atChange : atEntry}`,
      KILL_WHEN: point.when,
      KILL_FOLDERS: this.localFolder,
      ...(isChange ? { KILL_AT_CHANGE: String(point.change) } : { KILL_AT_ENTRY: String(point.entry) }),
    });
  }

  /** How many changes of the stores the command makes, and how long it takes (milliseconds). */
  async measure(args: readonly string[]): Promise<{ changes: number; took: number }> {
    const count = join(this.directory, "changes");
    const begin = performance.now();
    const { exitCode, stderr } = await this.run(args, {
      NODE_OPTIONS: `--import=${atChange}`,
      KILL_FOLDERS: this.localFolder,
      KILL_COUNT: count,
    });
    if (exitCode !== 0) throw new Error(stderr);
    return { took: performance.now() - begin, changes: Number(await readFile(count, "utf8")) };
  }

  /** Whether the newest run was begun and has neither ended nor been taken back. */
  async unfinished(): Promise<boolean> {
    if (!SqliteJournal.exists(this.context.stateDirectory)) return false;
    const journal = SqliteJournal.openToRead(this.context.stateDirectory, this.context.clock);
    try {
      const [newest] = await journal.runs(1);
      const state = newest === undefined ? undefined : runState(await journal.entries(newest));
      return state?.status === "running" || state?.status === "rolling-back";
    } finally {
      await journal.close();
    }
  }

  /** Everything that any store lists. Throws where one of them cannot be decrypted to its last byte. */
  async listed(): Promise<Record<(typeof storeNames)[number], string[]>> {
    const found = { local: [] as string[], offsite: [] as string[] };
    for (const store of storeNames) {
      const { output } = await perform(operation("backup.list"), this.context, { store });
      for (const { id } of (output as { backups: { id: string }[] }).backups) {
        await perform(operation("backup.verify"), this.context, { backup: id, store, level: "decrypt" });
        found[store].push(id);
      }
    }
    return found;
  }

  /** Clears what is left over, however young. */
  async prune(): Promise<void> {
    for (const store of storeNames)
      await perform(operation("backup.prune"), this.context, { store, "leftovers-after": "0s" });
  }

  /** What is in the stores and belongs to no backup of these ids, half-written things included. */
  async remains(ids: Readonly<Record<(typeof storeNames)[number], readonly string[]>>): Promise<string[]> {
    const Bucket = this.bucket;
    const { Contents = [] } = await this.s3.listObjectsV2({ Bucket });
    const { Uploads = [] } = await this.s3.listMultipartUploads({ Bucket });
    const isOurs = (name: string, of: readonly string[]) =>
      of.some((id) => name.includes(`/${id}/`)) && !name.endsWith(".partial") && !name.endsWith("hold.json");
    return [
      ...[...(await filesIn(this.localFolder).catch(() => new Map<string, Buffer>())).keys()].filter(
        (each) => !isOurs(each, ids.local),
      ),
      ...Contents.map((each) => each.Key ?? "").filter((each) => !isOurs(each, ids.offsite)),
      ...Uploads.map((each) => `upload of ${each.Key}`),
    ];
  }

  /** Both stores as they were on the first day. */
  async empty(): Promise<void> {
    await rm(this.localFolder, { recursive: true, force: true });
    await this.emptyBucket();
  }

  async emptyBucket(): Promise<void> {
    const Bucket = this.bucket;
    const { Contents = [] } = await this.s3.listObjectsV2({ Bucket });
    for (const { Key } of Contents) await this.s3.deleteObject({ Bucket, Key });
    const { Uploads = [] } = await this.s3.listMultipartUploads({ Bucket });
    for (const { Key, UploadId } of Uploads) await this.s3.abortMultipartUpload({ Bucket, Key, UploadId });
  }
}
