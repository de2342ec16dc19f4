import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { build } from "esbuild";
import { expect } from "vitest";
import { ceph, newBucket, s3Settings } from "../../support/ceph.ts";
import { S3Proxy } from "../../support/s3-proxy.ts";

const run = promisify(execFile);
const program = fileURLToPath(new URL("../../support/s3-upload.ts", import.meta.url));

/** What the issue asks of any size. */
const mostMebibytes = 150;

/** A process of its own moves so many MiB to the server and back, over TLS, which needs the most memory. */
export async function expectBoundedMemory(mebibytes: number, changes: object = {}): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "ops-mem-"));
  const [key, certificate] = [join(folder, "key.pem"), join(folder, "ca.pem")];
  const subject = ["-subj", "/CN=test", "-addext", "subjectAltName=IP:127.0.0.1"];
  let proxy: S3Proxy | undefined;
  try {
    await run("openssl", [
      "req",
      "-x509",
      "-newkey",
      "rsa:2048",
      "-nodes",
      "-keyout",
      key,
      "-out",
      certificate,
      ...subject,
    ]);
    const tls = { key: await readFile(key, "utf8"), cert: await readFile(certificate, "utf8") };
    proxy = await S3Proxy.start((await ceph()).endpoint, tls);
    const place = { endpoint: proxy.endpoint, "ca-file": certificate, ...changes };
    const settings = JSON.stringify(await s3Settings(await newBucket(), place));
    const built = join(folder, "upload.mjs");
    await bundle(built);
    const { stdout } = await run(process.execPath, [built, settings, String(mebibytes)]);
    const seen = JSON.parse(stdout) as { written: string; read: string; peak: number };

    expect(seen.read).toBe(seen.written);
    expect(seen.peak).toBeLessThan(mostMebibytes);
  } finally {
    await proxy?.[Symbol.asyncDispose]();
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
