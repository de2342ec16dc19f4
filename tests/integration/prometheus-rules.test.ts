import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { stringify } from "yaml";
import { projectRoot } from "../support/ops.ts";
import { testRules } from "../support/promtool.ts";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "ops-rules-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

/** At 100 minutes after the epoch, with a sample of each series every minute. */
const cases = [
  {
    alert: "OpsBackupOverdue",
    fires: { ops_backup_overdue: "1+0x200" },
    silent: { ops_backup_overdue: "0+0x200" },
  },
  {
    alert: "OpsStatusOld",
    fires: { ops_wal_status_timestamp_seconds: "0+0x200" },
    silent: { ops_wal_status_timestamp_seconds: "0+60x200" },
  },
  {
    alert: "OpsWalNotArchived",
    fires: { ops_wal_archiving: "0+0x200" },
    silent: { ops_wal_archiving: "1+0x200" },
  },
  {
    alert: "OpsWalDiskFills",
    fires: { ops_wal_waiting_files: "5+0x200", ops_wal_free_bytes: "60000000000-500000000x200" },
    silent: { ops_wal_waiting_files: "5+0x200", ops_wal_free_bytes: "60000000000-6000x200" },
  },
  {
    alert: "OpsWalDiskFills",
    fires: { ops_wal_full_seconds: "10000+0x200" },
    silent: { ops_wal_full_seconds: "40000+0x200" },
  },
  {
    alert: "OpsWindowShort",
    fires: { ops_pitr_window_seconds: "300000+0x200" },
    silent: { ops_pitr_window_seconds: "900000+0x200" },
  },
];

it.each(cases)("$alert comes when it should, and only then", async ({ alert, fires, silent }) => {
  const labels = '{environment="e",database="main",store="s"}';
  const series = (values: object) =>
    Object.entries(values).map(([name, text]) => ({ series: name + labels, values: text }));
  const none = { eval_time: "100m", alertname: alert, exp_alerts: [] };
  const file = async (name: string, values: object) => {
    const path = join(folder, `${alert}-${name}.yml`);
    const test = { interval: "1m", input_series: series(values), alert_rule_test: [none] };
    const rules = join(projectRoot, "deploy/prometheus/ops-rules.yml");
    await writeFile(path, stringify({ rule_files: [rules], evaluation_interval: "1m", tests: [test] }));
    return path;
  };

  expect((await testRules(await file("silent", silent))).code).toBe(0);
  // Nothing is expected, so what comes is a difference.
  const { code, output } = await testRules(await file("fires", fires));
  expect(code).toBe(1);
  expect(output).toContain(`alertname="${alert}"`);
});
