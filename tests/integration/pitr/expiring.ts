import { readdir } from "node:fs/promises";
import { perform } from "../../support/context.ts";
import { operation, PitrSetting } from "./setting.ts";

/** An archive of three base backups with numbered rows before, between and behind them, of which only the last is needed. */
export class Expiring {
  readonly setting: PitrSetting;
  readonly bases: readonly string[];

  private constructor(setting: PitrSetting, bases: readonly string[]) {
    this.setting = setting;
    this.bases = bases;
  }

  static async start(): Promise<Expiring> {
    const setting = await PitrSetting.start();
    const { wal } = setting;
    await wal.query("CREATE TABLE numbered (n int)");
    const bases: string[] = [];
    for (const n of [1, 2, 3]) {
      await wal.query(`INSERT INTO numbered VALUES (${n})`);
      await perform(operation("pitr.point"), setting.context(), { name: `point${n}` });
      const names = await wal.fillSegments(1);
      await wal.untilArchived(names.at(-1) ?? "");
      bases.push(await setting.base());
    }
    await wal.query("INSERT INTO numbered VALUES (4)");
    const names = await wal.fillSegments(1);
    await wal.untilArchived(names.at(-1) ?? "");
    return new Expiring(setting, bases);
  }

  /** With a window that begins now. */
  get settings() {
    return this.settingsIn("store");
  }

  settingsIn(store: string, window = "0s") {
    const settings = this.setting.settingsOf([store]);
    const { main } = settings.databases;
    return { ...settings, databases: { main: { ...main, pitr: { ...main.pitr, window } } } };
  }

  /** Everything in a store, without the folders. */
  async objects(store = "store"): Promise<string[]> {
    const all = await readdir(this.setting.wal.path(store), { recursive: true, withFileTypes: true });
    const root = this.setting.wal.path(store, "pitr/main/");
    return all
      .filter((each) => each.isFile())
      .map((each) => `${each.parentPath}/${each.name}`.slice(root.length))
      .sort();
  }
}
