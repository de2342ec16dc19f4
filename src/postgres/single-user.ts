import { createHash, createHmac, pbkdf2Sync, randomBytes } from "node:crypto";
import { join } from "node:path";
import pg from "pg";
import { OpsError } from "../core/errors.ts";
import { runProgram } from "../process/run-program.ts";
import { serverBinaries } from "./binaries.ts";
import { serverUser } from "./unprivileged.ts";

export interface Superuser {
  readonly name: string;
  /** Known to this process alone: the cluster has a SCRAM verifier of it. */
  readonly password: string;
}

/** Of a name that no role has. */
export function newSuperuser(prefix: string): Superuser {
  return {
    name: `${prefix}_${randomBytes(6).toString("hex")}`,
    password: randomBytes(24).toString("base64url"),
  };
}

/**
 * Adds a superuser to a cluster that does not run and whose passwords nobody knows (postgres(1), "Options for
 * single-user mode"). Throws `E_CLUSTER_START`.
 */
export async function addSuperuser(
  directory: string,
  major: number,
  { name, password }: Superuser,
  signal: AbortSignal,
): Promise<void> {
  const user = await serverUser(directory);
  const settings = {
    shared_preload_libraries: "",
    log_statement: "none",
    log_min_error_statement: "panic",
    logging_collector: "off",
    exit_on_error: "on",
  };
  const [file = "", ...args] = [
    ...user.prefix,
    join(await serverBinaries(major), "postgres"),
    "--single",
    "-D",
    directory,
    ...Object.entries(settings).flatMap(([key, value]) => ["-c", `${key}=${value}`]),
    "template1",
  ];
  const verifier = scramVerifier(password);
  const input = `CREATE ROLE ${pg.escapeIdentifier(name)} SUPERUSER LOGIN PASSWORD ${pg.escapeLiteral(verifier)}\n`;
  const { exitCode, stderr } = await runProgram(file, args, { input, cwd: "/", signal });
  if (exitCode === 0) return;
  throw new OpsError("E_CLUSTER_START", `PostgreSQL's single-user mode failed in ${directory}`, {
    cause: new Error(stderr.trim().split("\n").slice(-3).join("; ")),
  });
}

/** As PostgreSQL keeps it (RFC 5803). Passwords of ours are ASCII, so SASLprep changes nothing. */
function scramVerifier(password: string): string {
  const salt = randomBytes(16);
  const iterations = 4096;
  const salted = pbkdf2Sync(password, salt, iterations, 32, "sha256");
  const key = (label: string) => createHmac("sha256", salted).update(label).digest();
  const stored = createHash("sha256").update(key("Client Key")).digest("base64");
  const parts = [salt.toString("base64"), stored, key("Server Key").toString("base64")] as const;
  return `SCRAM-SHA-256$${iterations}:${parts[0]}$${parts[1]}:${parts[2]}`;
}
