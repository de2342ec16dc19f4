import { existsSync } from "node:fs";
import { readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { tablespacesOf } from "../pgbackrest/info.ts";
import { endRestoresInto } from "../pgbackrest/left-restores.ts";
import type { PgBackRest } from "../pgbackrest/program.ts";
import { percentOf } from "../pgbackrest/progress.ts";
import type { FillWork } from "./archive.ts";
import type { ArchivedBase } from "./archive-state.ts";

/** The only part: pgBackRest keeps its own place in the folder. */
const whole = "pgbackrest";

/**
 * pgBackRest restores every file and compares its checksum. Cut off, it goes on with `--delta`: what is there already
 * is kept where its checksum is right. The recovery is prepared by ops, as for its own engine.
 */
export async function fillByPgBackRest(
  program: PgBackRest,
  repository: number,
  { plainBytes }: ArchivedBase,
  work: FillWork,
): Promise<void> {
  const { base, folder, user, jobs, report, signal } = work;
  if (work.done.unpacked.includes(whole)) return;
  await endRestoresInto(folder.directory);
  const goesOn = existsSync(join(folder.directory, "backup.manifest"));
  // Cut off before pgBackRest could say whose folder it is.
  if (!goesOn) await empty(folder.directory);
  const maps: string[] = [];
  for (const { oid } of await tablespacesOf(program, repository, base, signal)) {
    maps.push(`--tablespace-map=${oid}=${await folder.addTablespace(oid, user)}`);
  }
  const options = [
    `--repo=${repository}`,
    `--set=${base}`,
    `--pg1-path=${folder.directory}`,
    `--process-max=${jobs}`,
    // Settings of a recovery are written by ops afterwards.
    "--type=none",
    ...(goesOn ? ["--delta"] : []),
    ...maps,
  ];
  await program.run("restore", options, {
    signal,
    user,
    detail: "detail",
    onLine: (line) => {
      const percent = percentOf(line);
      if (percent === undefined) return;
      const done = Math.round((plainBytes * percent) / 100);
      report.progress({ message: `restoring base backup ${base}`, done, total: plainBytes, unit: "bytes" });
    },
  });
  await work.onDone({ unpacked: [whole], combined: false });
}

async function empty(directory: string): Promise<void> {
  for (const each of await readdir(directory)) await rm(join(directory, each), { recursive: true });
}
