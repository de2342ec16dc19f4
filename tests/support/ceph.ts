import { spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { S3 } from "@aws-sdk/client-s3";
import { inject } from "vitest";
import type { S3StoreTarget } from "../../src/config/environment.ts";
import { storeSchema } from "../../src/config/store-schema.ts";
import { storeTarget } from "../../src/config/store-target.ts";
import type { CephServer } from "./ceph/server.ts";

export { type CephServer, kmsKey } from "./ceph/server.ts";

/** The S3 server of this test run, started by whoever asks first; everybody else waits for it. */
export async function ceph(): Promise<CephServer> {
  const { folder, owner } = inject("ceph");
  // Made by exactly one.
  const first = await mkdir(join(folder, "starting")).then(
    () => true,
    (error: NodeJS.ErrnoException) => {
      if (error.code === "EEXIST") return false;
      throw error;
    },
  );
  if (first) {
    const keeper = fileURLToPath(new URL("ceph/keeper.ts", import.meta.url));
    const child = spawn(process.execPath, [keeper, folder, String(owner)], {
      detached: true,
      stdio: "ignore",
    });
    child.unref();
    await writeFile(join(folder, "keeper.pid"), String(child.pid));
  }
  for (const deadline = Date.now() + 110_000; Date.now() < deadline; await delay(100)) {
    const ready = await readFile(join(folder, "ready.json"), "utf8").catch(() => undefined);
    if (ready !== undefined) return JSON.parse(ready) as CephServer;
    const failed = await readFile(join(folder, "failed.txt"), "utf8").catch(() => undefined);
    if (failed !== undefined) throw new Error(failed);
  }
  throw new Error("Ceph did not start in time; apt-get install radosgw ceph-mon ceph-osd");
}

/** The plain client, to look at what is really there. */
export async function cephClient(): Promise<S3> {
  const { endpoint, accessKey, secretKey } = await ceph();
  const credentials = { accessKeyId: accessKey, secretAccessKey: secretKey };
  return new S3({ endpoint, region: "us-east-1", forcePathStyle: true, credentials });
}

/** A new, empty bucket with a name of its own. */
export async function newBucket(options: { readonly objectLock?: boolean } = {}): Promise<string> {
  const client = await cephClient();
  const Bucket = `ops-${randomBytes(6).toString("hex")}`;
  await client.createBucket({ Bucket, ObjectLockEnabledForBucket: options.objectLock === true });
  client.destroy();
  return Bucket;
}

/** The `stores:` entry of `.opsrc` for that bucket; `changes` go into its `s3:`. */
export async function s3Settings(bucket: string, changes: object = {}): Promise<{ url: string; s3: object }> {
  const { endpoint } = await ceph();
  const { folder } = inject("ceph");
  const keys = { "access-key": `file:${folder}/access-key`, "secret-key": `file:${folder}/secret-key` };
  return { url: `s3://${bucket}/shop`, s3: { endpoint, ...keys, ...changes } };
}

/** The same as the configuration hands it on. */
export async function s3Target(bucket: string, changes: Partial<S3StoreTarget> = {}): Promise<S3StoreTarget> {
  const target = storeTarget("offsite", storeSchema.parse(await s3Settings(bucket)), ".");
  if (target.kind !== "s3") throw new Error("a store on S3 was expected");
  return { ...target, ...changes };
}
