import { hostname } from "node:os";
import type { Environment } from "../config/environment.ts";
import type { Clock } from "../core/clock.ts";
import type { RunEvent } from "../run/events.ts";
import type { Journal } from "../run/journal.ts";
import { advance, type RunState } from "../run/run-state.ts";
import type { NewNotice, Outbox } from "./outbox.ts";
import { type Happening, noticesOf } from "./rules.ts";
import { cutOff, happeningOf, operationOf } from "./run-messages.ts";
import { stepOperations } from "./step-operations.ts";

/** What is older than this is told to nobody any more: a day, as long as one is tried. Milliseconds. */
const patience = 86_400_000;
/** How many runs back a killed one is looked for. */
const recent = 20;

export interface Collecting {
  readonly environment: Environment;
  readonly clock: Clock;
}

/**
 * Takes what has happened in this environment's runs since the last look into the outbox, by whichever process: the
 * place in the journal is moved in the transaction that writes the notices, so that no event is lost or told twice,
 * wherever a process is killed. Where no rule asks for anything, what happens is owed to nobody later.
 */
export async function collect(
  { environment, clock }: Collecting,
  outbox: Outbox,
  journal: Journal,
): Promise<void> {
  const cursor = cursorOf(outbox);
  if (environment.notifyRules().length === 0) {
    if (cursor !== undefined) removeCursor(outbox);
    return;
  }
  const last = await journal.lastPosition();
  if (cursor === undefined) return setCursor(outbox, cursor, { position: last, since: last });
  // A journal that ends before the place that was reached is another one.
  const from = last < cursor.position ? { position: 0, since: 0 } : cursor;
  const notices: NewNotice[] = [];
  const oldest = clock.now().getTime() - patience;
  for (const run of last > from.position ? await journal.runsSince(from.position) : []) {
    const happenings = await happeningsOf(journal, run, environment.name, from.position, last);
    const fresh = happenings.filter(({ message }) => Date.parse(message.at) > oldest);
    notices.push(...fresh.flatMap((each) => noticesOf(environment, each)));
  }
  const gone = await cutOffRuns(journal, environment.name, from.since, clock.now());
  notices.push(...gone.flatMap((each) => noticesOf(environment, each)));
  const position = Math.max(last, from.position);
  const fresh = notices.filter(({ key }) => !outbox.knows(key));
  if (fresh.length === 0 && cursor.position === position) return;
  setCursor(outbox, cursor, { position, since: from.since }, fresh, clock.now().getTime());
}

/** The beginning of a run as it is told. */
export async function startOf(journal: Journal, run: string): Promise<Happening | undefined> {
  const [first] = await journal.entries(run);
  if (first === undefined) return undefined;
  const state = advance(undefined, first);
  return happeningOf(state, first, hostOf(first) ?? hostname(), operationOf(state), undefined);
}

async function happeningsOf(
  journal: Journal,
  run: string,
  environment: string,
  after: number,
  upTo: number,
): Promise<Happening[]> {
  const found: Happening[] = [];
  let state: RunState | undefined;
  let host = hostname();
  let operations: ReadonlyMap<string, string> | undefined;
  for (const entry of await journal.entries(run)) {
    const before: RunState | undefined = state;
    state = advance(state, entry);
    if (state.request.environment !== environment) return [];
    host = hostOf(entry) ?? host;
    if (entry.position <= after || entry.position > upTo) continue;
    operations ??= stepOperations(state.request);
    const operation = "step" in entry ? operations.get(entry.step) : operationOf(state);
    const happening = happeningOf(state, entry, host, operation, before);
    if (happening !== undefined) found.push(happening);
  }
  return found;
}

const ends: readonly RunEvent["type"][] = [
  "run.done",
  "run.failed",
  "run.interrupted",
  "run.rolled-back",
  "run.needs-person",
];

/** Runs that stopped in the middle and that nobody holds. */
async function cutOffRuns(
  journal: Journal,
  environment: string,
  since: number,
  now: Date,
): Promise<Happening[]> {
  const found: Happening[] = [];
  for (const run of await journal.runs(recent)) {
    const newest = await journal.newest(run);
    if (newest === undefined || ends.includes(newest) || (await journal.holder(run)) !== undefined) continue;
    const entries = await journal.entries(run);
    // It may have ended since it was looked at.
    if (entries.some(({ sequence, type }) => sequence === entries.length && ends.includes(type))) continue;
    const state = entries.reduce<RunState | undefined>(advance, undefined);
    if (state === undefined || state.request.environment !== environment || state.lastPosition <= since)
      continue;
    if (Date.parse(state.lastAt) < now.getTime() - patience) continue;
    const host = entries.findLast((each) => hostOf(each) !== undefined);
    found.push(
      cutOff(state, (host === undefined ? undefined : hostOf(host)) ?? hostname(), now.toISOString()),
    );
  }
  return found;
}

function hostOf(entry: { readonly type: string; readonly data?: unknown }): string | undefined {
  if (entry.type !== "run.created" && entry.type !== "run.resumed") return undefined;
  return (entry.data as { process: { host: string } }).process.host;
}

interface Cursor {
  /** Everything up to here is in the outbox. */
  readonly position: number;
  /** Nothing up to here is owed to anybody. */
  readonly since: number;
}

function cursorOf(outbox: Outbox): Cursor | undefined {
  const query = "SELECT position, since FROM journal_cursor WHERE environment = ?";
  const row = outbox.row(query, outbox.environment);
  return row === undefined ? undefined : { position: Number(row.position), since: Number(row.since) };
}

/** Unless another process was faster: then it is that one's work. */
function setCursor(
  outbox: Outbox,
  seen: Cursor | undefined,
  next: Cursor,
  notices: readonly NewNotice[] = [],
  now = 0,
): void {
  outbox.transaction(() => {
    const present = cursorOf(outbox);
    if (present?.position !== seen?.position) return;
    outbox.database
      .prepare("INSERT OR REPLACE INTO journal_cursor (environment, position, since) VALUES (?, ?, ?)")
      .run(outbox.environment, next.position, next.since);
    outbox.insert(notices, now);
  });
}

function removeCursor(outbox: Outbox): void {
  outbox.transaction(() =>
    outbox.database.prepare("DELETE FROM journal_cursor WHERE environment = ?").run(outbox.environment),
  );
}
