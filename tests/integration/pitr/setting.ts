import { chown, mkdir, writeFile } from "node:fs/promises";
import pg from "pg";
import { Environment } from "../../../src/config/environment.ts";
import { environmentSchema } from "../../../src/config/schema.ts";
import { operations } from "../../../src/pitr/operations.ts";
import { stopCluster } from "../../../src/postgres/cluster.ts";
import { serverUser } from "../../../src/postgres/unprivileged.ts";
import type { Operation } from "../../../src/run/operation.ts";
import { type Performed, perform, type TestContext, testContext } from "../../support/context.ts";
import { WalSetting } from "../wal/setting.ts";

export function operation(name: string): Operation {
  const found = operations.find((each) => each.name === name);
  if (found === undefined) throw new Error(`there is no operation ${name}`);
  return found;
}

export interface Restored {
  readonly base: string;
  readonly state: string;
  readonly port: number;
  readonly directory: string;
  readonly timeline: number;
  readonly lastTransaction: string | null;
}

/** A server that archives with the built command, and restores of it into folders beside it. */
export class PitrSetting {
  readonly wal: WalSetting;
  private readonly started: string[] = [];
  private count = 0;

  private constructor(wal: WalSetting) {
    this.wal = wal;
  }

  static async start(settings: Readonly<Record<string, string>> = {}, major?: number): Promise<PitrSetting> {
    const wal = await WalSetting.start({ track_commit_timestamp: "on", ...settings }, major);
    await writeFile(wal.path("key.txt"), `${wal.identity}\n`, { mode: 0o644 });
    // The server's user makes the archive's folders: the tests may run as root, who can write to them all the same.
    const [row] = await wal.query<{ name: string }>("SELECT pg_walfile_name(pg_switch_wal()) AS name");
    await wal.untilArchived(row?.name ?? "");
    return new PitrSetting(wal);
  }

  async stop(): Promise<void> {
    for (const each of this.started) await stopCluster(each);
    await this.wal.stop();
  }

  get settings() {
    return this.settingsOf(["store"]);
  }

  settingsOf(stores: readonly string[]) {
    const { recipient, identity } = this.wal;
    const store = (name: string) => ({
      url: `file:${this.wal.path(name)}`,
      recipients: [recipient],
      identity,
    });
    return {
      databases: { main: { url: this.wal.cluster.url(), pitr: { stores: [...stores] } } },
      stores: Object.fromEntries(stores.map((each) => [each, store(each)])),
    };
  }

  /** As in the configuration file that the server's commands read. */
  context(settings: object = this.settings): TestContext {
    const environment = new Environment(
      "default",
      this.wal.folder,
      environmentSchema.parse(settings),
      this.wal.config,
    );
    return { ...testContext(settings, { directory: this.wal.folder }), environment };
  }

  /** A base backup, and its id. */
  async base(input: object = {}): Promise<string> {
    const { output } = await perform(operation("pitr.base.create"), this.context(), input);
    return (output as { id: string }).id;
  }

  newFolder(): string {
    this.count += 1;
    const folder = this.wal.path(`restored${this.count}`);
    this.started.push(folder);
    return folder;
  }

  /** With the stock tools in the place of ops wal fetch. */
  restore(input: object): Promise<Performed> {
    return perform(operation("pitr.restore"), this.context(), {
      "target-dir": this.newFolder(),
      "restore-command": this.stockFetch,
      start: true,
      ...input,
    });
  }

  get stockFetch(): string {
    const object = `${this.wal.path("store/pitr/main/wal")}/$(echo %f | cut -c1-8)/%f.zst.age`;
    return `test -e "${object}" && age -d -i ${this.wal.path("key.txt")} "${object}" | zstd -dcq > "%p"`;
  }

  /** A folder for a tablespace on the server. */
  async tablespaceFolder(name: string): Promise<string> {
    const { owner } = await serverUser(this.wal.cluster.directory);
    const folder = this.wal.path(name);
    await mkdir(folder);
    if (owner !== undefined) await chown(folder, owner.uid, owner.gid);
    return folder;
  }
}

export async function queryPort<T extends pg.QueryResultRow>(port: number, sql: string): Promise<T[]> {
  const client = new pg.Client({ host: "127.0.0.1", port, user: "postgres", database: "postgres" });
  await client.connect();
  try {
    return (await client.query<T>(sql)).rows;
  } finally {
    await client.end();
  }
}
