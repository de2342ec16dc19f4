import { z } from "zod";
import type { DatabaseTarget } from "../config/environment.ts";
import { UsageError } from "../core/errors.ts";
import { suggestion } from "../core/suggestion.ts";
import { withConnection } from "../postgres/connection.ts";
import type { OperationContext } from "../run/context.ts";
import { type Change, defineOperation } from "../run/operation.ts";
import { type BackfillPlace, readPlaces, setPaused } from "./batch/place-table.ts";
import { database, version } from "./input.ts";
import { title } from "./migration-file.ts";
import { canonicalVersion } from "./version.ts";

/*
 * Both set a mark in the database, which the backfill reads in the transaction of each batch. They lock no targets: the
 * run that holds the database is the one they are about.
 */

const input = z.strictObject({
  version: version("Version of the migration; default: the only backfill that is not at its end"),
  database,
});

type Before = {
  readonly database: string;
  readonly version: string;
  readonly name: string;
  readonly direction: "up" | "down";
  readonly state: BackfillPlace["state"];
};

const output = z.object({
  database: z.string().describe("The database"),
  version: z.string().describe("Version of the migration"),
  name: z.string().describe("Name of the migration"),
  state: z.enum(["running", "paused", "done"]).describe("running: no pause stands in its way"),
  rowsDone: z.number().describe("Rows gone through so far"),
  next: z.string().describe("The command that goes on with it"),
});

export const pauseBackfill = defineOperation({
  name: "migrate.pause",
  summary: "Pause a backfill after the batch that is under way",
  example: "migrate pause 0042",
  effect: "change",
  input,
  positional: ["version"],
  output,
  observe: (context, { database, version }) => observe(context, database, version),
  plan: (before) => change(before, "paused"),
  apply: (context, { database }, before) => mark(context, database, before, "paused"),
  undo: async (context, { database }, before) => {
    if (before.state === "running") await mark(context, database, before, "running");
    return { undone: true };
  },
  render: (result) =>
    `backfill ${title(result)} is ${result.state} after ${result.rowsDone} rows; let it go on with: ops migrate continue ${result.version}`,
});

export const continueBackfill = defineOperation({
  name: "migrate.continue",
  summary: "Let a paused backfill go on",
  example: "migrate continue 0042",
  effect: "change",
  input,
  positional: ["version"],
  output,
  observe: (context, { database, version }) => observe(context, database, version),
  plan: (before) => change(before, "running"),
  apply: (context, { database }, before) => mark(context, database, before, "running"),
  undo: async (context, { database }, before) => {
    if (before.state === "paused") await mark(context, database, before, "paused");
    return { undone: true };
  },
  render: (result) =>
    `backfill ${title(result)} may go on after ${result.rowsDone} rows; go on with: ${result.next}`,
});

async function observe(
  context: OperationContext,
  database: string | undefined,
  wanted: string | undefined,
): Promise<Before> {
  const target = context.environment.database(database);
  const all = await connected(context, target, readPlaces);
  const open = all.filter((each) => each.state !== "done");
  const found =
    wanted === undefined
      ? open
      : open.filter((each) => canonicalVersion(each.version) === canonicalVersion(wanted));
  const [place] = found;
  if (place === undefined || found.length > 1) throw unknownBackfill(target, wanted, open);
  const { version, name, direction, state } = place;
  return { database: target.name, version, name, direction, state };
}

function change(before: Before, state: "running" | "paused"): Change[] {
  if (before.state === state) return [];
  const verb = state === "paused" ? "pause" : "let go on";
  const summary = `${verb} backfill ${title(before)}`;
  return [
    { target: `database:${before.database}`, action: "update", summary, from: before.state, to: state },
  ];
}

async function mark(
  context: OperationContext,
  database: string | undefined,
  before: Before,
  state: "running" | "paused",
): Promise<z.output<typeof output>> {
  const target = context.environment.database(database);
  const { version, name, direction } = before;
  const place = await connected(context, target, async (client) => {
    const changed = await setPaused(client, before, state);
    if (changed !== undefined) return changed;
    // It came to its end in between, which is as good as any.
    return (await readPlaces(client)).find(
      (each) => each.version === version && each.direction === direction,
    );
  });
  if (place === undefined) throw unknownBackfill(target, version, []);
  return {
    database: target.name,
    version,
    name,
    state: place.state,
    rowsDone: place.rowsDone,
    next: place.runId === null ? `ops migrate ${direction}` : `ops runs resume ${place.runId}`,
  };
}

function connected<T>(
  context: OperationContext,
  target: DatabaseTarget,
  work: Parameters<typeof withConnection<T>>[2],
): Promise<T> {
  return withConnection(target, { signal: context.signal, applicationName: "ops migrate pause" }, work);
}

function unknownBackfill(
  target: DatabaseTarget,
  wanted: string | undefined,
  open: readonly BackfillPlace[],
): UsageError {
  const versions = open.map((each) => each.version);
  if (wanted === undefined && versions.length > 1) {
    return new UsageError("E_INPUT", `Several backfills of database ${target.name} are under way`, {
      hint: `say which: ${versions.join(", ")}`,
    });
  }
  const which = wanted === undefined ? "" : ` with version ${wanted}`;
  return new UsageError("E_BACKFILL_UNKNOWN", `No backfill${which} is under way in database ${target.name}`, {
    hint:
      wanted === undefined || versions.length === 0
        ? "see: ops migrate backfills"
        : suggestion(wanted, versions),
  });
}
