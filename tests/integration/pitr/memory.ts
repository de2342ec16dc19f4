import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect } from "vitest";
import { runProgram } from "../../../src/process/run-program.ts";
import { newBucket, s3Settings } from "../../support/ceph.ts";
import { opsWithPeak } from "../../support/peak.ts";
import { PitrSetting } from "./setting.ts";

/** What the issue asks of any size, in MiB. */
const mostMebibytes = 150;

/**
 * Base backups of a cluster of that size into a folder and into S3, and a restore: what the command has resident at
 * most does not depend on the size.
 */
export async function expectBoundedMemory(mebibytes: number): Promise<void> {
  const setting = await PitrSetting.start();
  try {
    const { settings, wal } = setting;
    // Beside the tables: a base backup has every file of the data folder. It does not compress.
    const noise = join(wal.cluster.directory, "noise");
    await runProgram("dd", ["if=/dev/urandom", `of=${noise}`, "bs=1M", `count=${mebibytes}`]);
    await runProgram("chown", [`--reference=${join(noise, "../PG_VERSION")}`, noise]);
    const ops = (...args: string[]) =>
      opsWithPeak([...args, "--yes"], { config: wal.config, cwd: wal.folder, timeout: 1_200_000 });

    const made = await ops("pitr", "base", "create");
    expect(made).toMatchObject({ exitCode: 0 });
    const restored = await ops("pitr", "restore", "--latest", "--target-dir", setting.newFolder());
    expect(restored).toMatchObject({ exitCode: 0 });

    // The server's own user cannot read the keys of this S3: the WAL does not come there.
    const s3 = { ...settings.stores.store, ...(await s3Settings(await newBucket())) };
    await writeFile(wal.config, JSON.stringify({ ...settings, stores: { store: s3 } }));
    const uploaded = await ops("pitr", "base", "create", "--wal-timeout", "0s");
    expect(uploaded.stderr).toContain("E_WAL_MISSING");
    const peaks = { made: made.peak, restored: restored.peak, uploaded: uploaded.peak };
    for (const [what, peak] of Object.entries(peaks)) expect(peak, what).toBeLessThan(mostMebibytes);
  } finally {
    await setting.stop();
  }
}
