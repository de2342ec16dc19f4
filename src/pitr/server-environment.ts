import type { DatabaseTarget, Environment } from "../config/environment.ts";

/**
 * What the restore_command of a server that ops starts needs of our variables: those that the stores' settings refer to
 * (`env:NAME`) and those that AWS's library or pgBackRest read by themselves. Secrets may be among them: like all
 * variables they are seen by the server's user and by root only.
 */
export function serverEnvironment(
  environment: Environment,
  { pitr }: DatabaseTarget,
): Readonly<Record<string, string>> {
  const named = pitr?.engine === "ops" ? environment.storeVariables(pitr.stores.map(({ name }) => name)) : [];
  const prefix = pitr?.engine === "pgbackrest" ? "PGBACKREST_" : "AWS_";
  const found: Record<string, string> = {};
  for (const [name, value] of Object.entries(process.env)) {
    if (value !== undefined && (named.includes(name) || name.startsWith(prefix))) found[name] = value;
  }
  return found;
}
