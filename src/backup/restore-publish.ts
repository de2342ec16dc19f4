import type pg from "pg";
import type { DatabaseTarget } from "../config/environment.ts";
import type { Report, UndoResult } from "../run/operation.ts";
import type { RestoreInput } from "./restore-input.ts";
import { dropMarkedRoles } from "./restore-roles.ts";
import {
  databaseExists,
  dropDatabase,
  endOrphans,
  findDatabase,
  isWhole,
  onServer,
  renameDatabase,
} from "./restored-database.ts";
import { databaseChanged, describeSession, renameTogether } from "./swap.ts";

export interface RestorePlace {
  /** The server. */
  readonly database: DatabaseTarget;
  /** The name that the restored database gets. */
  readonly into: string;
  /** What was seen before anything was done. */
  readonly before: {
    readonly scratch: string;
    readonly roles: readonly string[];
    /** The database that had the name; null where there was none. */
    readonly old: { readonly oid: number; readonly keptAs: string; readonly undoneAs: string } | null;
  };
}

/** `begun`: to be filled, maybe again. `ready`: whole under its scratch name. `published`: has its final name. */
export type RestoreState = "begun" | "ready" | "published";

/** Throws `E_DATABASE_EXISTS` and `E_DATABASE_CHANGED` where somebody else has made or moved a database. */
export async function stateOf(
  { database, into, before }: RestorePlace,
  signal: AbortSignal,
): Promise<RestoreState> {
  return onServer(database, signal, async (client) => {
    await endOrphans(client, before.scratch);
    const found = await findDatabase(client, into);
    if (isWhole(found, before.scratch)) return "published";
    if (before.old === null && found !== undefined) throw databaseExists(into);
    if (before.old !== null && found?.oid !== before.old.oid) throw databaseChanged(into);
    return isWhole(await findDatabase(client, before.scratch), before.scratch) ? "ready" : "begun";
  });
}

/** Gives the restored database its name. Returns how many sessions of the old one had to be ended. */
export async function publish(
  { database, into, before }: RestorePlace,
  input: RestoreInput,
  state: RestoreState,
  report: Report,
  signal: AbortSignal,
): Promise<number> {
  const { old, scratch } = before;
  let ended = 0;
  if (state !== "published" && old === null) {
    const rename = (client: pg.Client) => renameDatabase(client, scratch, into);
    await onServer(database, signal, rename, { avoid: [scratch, into], sessionName: scratch });
  } else if (state !== "published" && old !== null) {
    report.progress({ message: `ending the sessions of "${into}" and renaming it` });
    const renames = [
      { from: into, to: old.keptAs, oid: old.oid },
      { from: scratch, to: into },
    ];
    ended = await rename(database, scratch, renames, input, report, signal);
  }
  if (old !== null && input["drop-old"]) {
    await onServer(database, signal, async (client) => {
      if ((await findDatabase(client, old.keptAs))?.oid === old.oid) await dropDatabase(client, old.keptAs);
    });
  }
  return ended;
}

/** Back to what was there before, from any point. The restored database that was in use is kept under another name. */
export async function takeBack(
  place: RestorePlace,
  input: RestoreInput,
  report: Report,
  signal: AbortSignal,
): Promise<UndoResult> {
  const { database, before } = place;
  await onServer(database, signal, (client) => endOrphans(client, before.scratch));
  const result = await (before.old === null
    ? dropNew(place, signal)
    : renameBack(place, before.old, input, report, signal));
  const left = await onServer(database, signal, (client) =>
    dropMarkedRoles(client, before.roles, before.scratch),
  );
  if (left.length === 0) return result;
  const note = `roles stay, because something belongs to them: ${left.join(", ")}`;
  return { ...result, note: result.note === undefined ? note : `${result.note}; ${note}` };
}

async function dropNew({ database, into, before }: RestorePlace, signal: AbortSignal): Promise<UndoResult> {
  return onServer(database, signal, async (client) => {
    await dropDatabase(client, before.scratch);
    const found = await findDatabase(client, into);
    if (found === undefined) return { undone: true };
    if (!isWhole(found, before.scratch)) {
      return { undone: false, note: `the database "${into}" is not the one that this run made; it stays` };
    }
    await dropDatabase(client, into);
    return { undone: true, note: `the database "${into}" is dropped` };
  });
}

async function renameBack(
  { database, into, before }: RestorePlace,
  old: { readonly oid: number; readonly keptAs: string; readonly undoneAs: string },
  input: RestoreInput,
  report: Report,
  signal: AbortSignal,
): Promise<UndoResult> {
  const seen = await onServer(database, signal, async (client) => {
    await dropDatabase(client, before.scratch);
    const kept = await findDatabase(client, old.keptAs);
    return { current: await findDatabase(client, into), hasKept: kept?.oid === old.oid };
  });
  if (seen.current?.oid === old.oid) return { undone: true };
  if (!isWhole(seen.current, before.scratch)) {
    return { undone: false, note: `the database "${into}" is not the one that this run put there; it stays` };
  }
  if (!seen.hasKept) {
    return { undone: false, note: `the database "${old.keptAs}" that "${into}" was is no longer there` };
  }
  const renames = [
    { from: into, to: old.undoneAs, oid: seen.current?.oid },
    { from: old.keptAs, to: into, oid: old.oid },
  ];
  await rename(database, before.scratch, renames, input, report, signal);
  return {
    undone: true,
    note: `the old database "${into}" is back; the restored one, with what was written since, is kept as "${old.undoneAs}"`,
  };
}

async function rename(
  database: DatabaseTarget,
  sessionName: string,
  renames: Parameters<typeof renameTogether>[1],
  input: RestoreInput,
  report: Report,
  signal: AbortSignal,
): Promise<number> {
  const ended = await renameTogether(database, renames, {
    timeout: input["swap-timeout"],
    signal,
    sessionName,
  });
  for (const session of ended.slice(0, 20)) report.log(`ended: ${describeSession(session)}`);
  if (ended.length > 20) report.log(`and ${ended.length - 20} more sessions`);
  return ended.length;
}
