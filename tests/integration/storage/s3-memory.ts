import { execFile } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { build } from "esbuild";
import { expect } from "vitest";
import { ceph, newBucket, s3Settings } from "../../support/ceph.ts";

const run = promisify(execFile);
const program = fileURLToPath(new URL("../../support/s3-upload.ts", import.meta.url));

/** What the issue asks of any size. */
const mostMebibytes = 150;

/** A process of its own moves so many MiB to the server and back, over TLS, which needs the most memory. */
export async function expectBoundedMemory(mebibytes: number, changes: object = {}): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "ops-mem-"));
  try {
    const { secureEndpoint, certificate } = await ceph();
    const place = { endpoint: secureEndpoint, "ca-file": certificate, ...changes };
    const settings = JSON.stringify(await s3Settings(await newBucket(), place));
    const built = join(folder, "upload.mjs");
    await bundle(built);
    const { stdout } = await run(process.execPath, [built, settings, String(mebibytes)]);
    const seen = JSON.parse(stdout) as { written: string; read: string; peak: number };

    expect(seen.read).toBe(seen.written);
    expect(seen.peak).toBeLessThan(mostMebibytes);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** As the command is built: reading TypeScript would need memory of its own. */
async function bundle(outfile: string): Promise<void> {
  await build({
    entryPoints: [program],
    outfile,
    bundle: true,
    platform: "node",
    format: "esm",
    mainFields: ["module", "main"],
    banner: { js: "const require = process.getBuiltinModule;" },
  });
}
