import type { Environment } from "../config/environment.ts";
import { formatDuration } from "../core/duration.ts";
import { withConnection } from "../postgres/connection.ts";
import { type Finding, missingBecause, ok, warn } from "./finding.ts";

export interface DatabaseFindings {
  readonly findings: Finding[];
  /** Major version of the server; undefined where it did not answer. */
  readonly serverMajor: number | undefined;
}

const clockTolerance = 2000;

/** Whether the database answers, and whether its server's clock agrees with ours: leases and ages depend on it. */
export async function databaseFindings(
  environment: Environment,
  name: string,
  signal: AbortSignal,
): Promise<DatabaseFindings> {
  const subject = `database ${name}`;
  try {
    const target = environment.database(name);
    const seen = await withConnection(target, { signal, applicationName: "ops doctor" }, async (client) => {
      const asked = Date.now();
      const { rows } = await client.query(
        `SELECT extract(epoch FROM clock_timestamp())::float8 * 1000 AS now,
                current_setting('server_version_num')::int AS number,
                split_part(current_setting('server_version'), ' ', 1) AS version,
                pg_is_in_recovery() AS standby`,
      );
      const answered = Date.now();
      return {
        skew: Number(rows[0].now) - (asked + answered) / 2,
        // How wrong the measured skew may be.
        doubt: (answered - asked) / 2,
        major: Math.floor(Number(rows[0].number) / 10_000),
        version: String(rows[0].version),
        standby: rows[0].standby === true,
      };
    });
    const role = seen.standby ? ", a standby: it cannot be written to" : "";
    return {
      serverMajor: seen.major,
      findings: [
        ok(subject, `PostgreSQL ${seen.version} answers${role} (${target.url.shown})`),
        clock(`clock of ${name}`, seen.skew, seen.doubt),
      ],
    };
  } catch (error) {
    const mend = mending(name, error);
    return { serverMajor: undefined, findings: [missingBecause(subject, error, mend)] };
  }
}

/** @param skew milliseconds the server is ahead of us */
export function clock(subject: string, skew: number, doubt: number): Finding {
  if (Math.abs(skew) - doubt <= clockTolerance) return ok(subject, "agrees with this machine's");
  const direction = skew > 0 ? "ahead of" : "behind";
  return warn(
    subject,
    `${formatDuration(Math.abs(skew))} ${direction} this machine's`,
    "timedatectl set-ntp true, on the machine that is wrong",
  );
}

function mending(name: string, error: unknown): string {
  const cause = error instanceof Error ? error.cause : undefined;
  const code = cause instanceof Error && "code" in cause ? cause.code : undefined;
  const setting = `the "url" of "databases: ${name}:" in .opsrc`;
  switch (code) {
    case "3D000":
      return `make the database with createdb, or correct ${setting}`;
    case "28P01":
    case "28000":
      return `correct the user or password in ${setting}`;
    case "ENOTFOUND":
    case "EAI_AGAIN":
      return `correct the host in ${setting}`;
    default:
      return `start the server, or correct ${setting}`;
  }
}
