import type { X509Certificate } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { runProgram } from "../process/run-program.ts";

/**
 * Why the first certificate of a file does not lead to one of the authorities over the others; null where it does.
 * Times do not count here. By the openssl program: throws `E_PROGRAM_MISSING` where it is not there.
 *
 * @param authorities as PEM
 */
export async function untrustedReason(
  [leaf, ...others]: readonly X509Certificate[],
  authorities: readonly string[],
  signal?: AbortSignal,
): Promise<string | null> {
  const folder = await mkdtemp(join(tmpdir(), "ops-certificates-"));
  try {
    const place = (name: string) => join(folder, name);
    await writeFile(place("authorities.pem"), authorities.join("\n"));
    await writeFile(place("chain.pem"), others.map((each) => each.toString()).join("\n"));
    const untrusted = others.length === 0 ? [] : ["-untrusted", place("chain.pem")];
    const { exitCode, stdout, stderr } = await runProgram(
      "openssl",
      ["verify", "-no_check_time", "-no-CApath", "-CAfile", place("authorities.pem"), ...untrusted],
      { input: leaf?.toString() ?? "", signal },
    );
    if (exitCode === 0) return null;
    const said = `${stderr}\n${stdout}`;
    return /^error \d+ at \d+ depth lookup: (.*)$/m.exec(said)?.[1] ?? said.trim().split("\n")[0] ?? "";
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
