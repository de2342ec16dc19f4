import type { NginxRouteTarget } from "../config/environment.ts";
import { readOwnedFile } from "../nginx/owned-file.ts";
import { parseRouteFile } from "../nginx/route-file.ts";
import { loadedMarker, testConfiguration } from "../nginx/running-nginx.ts";
import { requireProgram } from "../process/find-program.ts";
import { type Finding, missingBecause, ok, warn } from "./finding.ts";

/** Whether the route's file is as ops wrote it, nginx has loaded it, and its configuration is valid. */
export async function nginxFinding(target: NginxRouteTarget, signal: AbortSignal): Promise<Finding> {
  const { name, file, status, versions, test, reload, directory } = target;
  const subject = `route ${name}`;
  try {
    for (const [program = ""] of [test, reload]) await requireProgram(program, directory);
    const owned = parseRouteFile(file, await readOwnedFile(target));
    const loaded = await loadedMarker(status, name, signal);
    await testConfiguration(target, signal);
    if (loaded.digest !== owned.digest) {
      const mend = "ops does it with the next change, or: nginx -s reload";
      return warn(subject, `nginx has not loaded ${file} as it is now`, mend);
    }
    return ok(subject, `nginx has loaded ${file}, which splits between ${Object.keys(versions).join(", ")}`);
  } catch (error) {
    return missingBecause(
      subject,
      error,
      `start nginx, or correct "status:" of "routes: ${name}:" in .opsrc`,
    );
  }
}
