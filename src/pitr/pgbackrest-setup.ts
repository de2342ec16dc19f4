import type { PgBackRestTarget } from "../config/environment.ts";
import { listWal } from "../pgbackrest/archived-wal.ts";
import { findStanza } from "../pgbackrest/info.ts";
import { PgBackRest } from "../pgbackrest/program.ts";
import { shellCommand } from "./command-line.ts";

/** What pgBackRest needs beside the server's settings. Each is safe to do again. */
export interface PgBackRestSteps {
  /** The stanza does not exist yet. */
  readonly create: boolean;
  /** Nothing has been archived yet: `pgbackrest check` lets a segment go the whole way. */
  readonly check: boolean;
}

export const noSteps: PgBackRestSteps = { create: false, check: false };

export async function pgBackRestSteps(
  target: PgBackRestTarget,
  signal: AbortSignal,
): Promise<{ readonly command: string; readonly steps: PgBackRestSteps }> {
  const program = await PgBackRest.find(target);
  const command = shellCommand(program.commandLine([], ["archive-push", "%p"]));
  const stanza = await findStanza(program, target.repository, signal);
  if (stanza === undefined) return { command, steps: { create: true, check: true } };
  const { segments } = await listWal(program, target.repository, stanza.archiveId, signal);
  return { command, steps: { create: false, check: segments.size === 0 } };
}

export function plannedSteps(database: string, { create, check }: PgBackRestSteps) {
  const step = (summary: string) => ({ target: `database:${database}`, action: "run" as const, summary });
  return [
    ...(create ? [step("pgbackrest stanza-create")] : []),
    ...(check
      ? [step("pgbackrest check: a segment is archived and found, where the server archives already")]
      : []),
  ];
}

/** @param restarts settings that wait for a restart: until then nothing can be checked */
export async function takeSteps(
  target: PgBackRestTarget,
  { create, check }: PgBackRestSteps,
  restarts: readonly string[],
  signal: AbortSignal,
): Promise<void> {
  const program = await PgBackRest.find(target);
  if (create) await program.run("stanza-create", [], { signal });
  if (check && restarts.length === 0) await program.run("check", [], { signal });
}
