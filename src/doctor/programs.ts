import { findProgram, findPrograms, type ProgramName } from "../postgres/programs.ts";
import { type Finding, missing, missingBecause, ok, warn } from "./finding.ts";

const install =
  process.platform === "darwin" ? "brew install libpq" : "sudo apt-get install -y postgresql-client";

/**
 * pg_dump refuses a server, and pg_restore an archive, that is newer than itself.
 *
 * @param newestServer the highest major version of the servers that answered; undefined where none did
 */
export async function postgresPrograms(newestServer: number | undefined): Promise<Finding[]> {
  const needed = (["pg_dump", "pg_restore"] as const).map((each) => neededProgram(each, newestServer));
  return Promise.all([...needed, psql()]);
}

async function neededProgram(name: ProgramName, newestServer: number | undefined): Promise<Finding> {
  try {
    const program = await findProgram(name, newestServer ?? 0);
    const fits = newestServer === undefined ? "" : `, good for servers up to ${program.major}`;
    return ok(name, `${program.version} (${program.path})${fits}`);
  } catch (error) {
    return missingBecause(name, error, install);
  }
}

async function psql(): Promise<Finding> {
  const newest = (await findPrograms("psql")).at(-1);
  if (newest !== undefined) return ok("psql", `${newest.version} (${newest.path})`);
  return warn("psql", "psql is not installed; ops does without it, people seldom do", install);
}

/** The Node that runs this. */
export function nodeVersion(version: string): Finding {
  if (Number(version.split(".")[0]) >= 24) return ok("node", version);
  return missing("node", `Node ${version} is too old, ops needs 24 or later`, "npm ci (it brings Node 24)");
}
