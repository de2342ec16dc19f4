import type pg from "pg";
import type { DatabaseTarget } from "../config/environment.ts";
import { type Duration, formatDuration } from "../core/duration.ts";
import { ExitCode, OpsError, UsageError } from "../core/errors.ts";
import { withConnection } from "../postgres/connection.ts";
import type { OperationContext } from "../run/context.ts";
import type { Report } from "../run/operation.ts";
import { pause } from "../run/pause.ts";
import { type HistoryRow, readHistory } from "./history-table.ts";
import { type Migration, type MigrationFolder, readFolderOf, title } from "./migration-file.ts";
import { defaultSoak, type PhaseInput } from "./phase-input.ts";
import { type Problem, refuseProblems } from "./problem.ts";
import type { PlannedFile } from "./selection.ts";
import { canonicalVersion } from "./version.ts";

/** What stands against contract migrations now. */
export interface Objection {
  /** One clause with the numbers. */
  readonly message: string;
  /** How long until it may be over, in milliseconds; undefined where time alone does not help. */
  readonly leftMs: number | undefined;
}

const pollInterval = 2000;

/**
 * Returns when the planned contract migrations may run: every older expand migration is applied, the newest applied
 * one has been in use for the soak time, and the old version of the application has no traffic. Waits for the last two
 * as long as `wait` says. Throws `E_CONTRACT_TOO_EARLY` (exit code 3), `E_MIGRATIONS`.
 *
 * @returns what was overridden by the given reason, for the output
 */
export async function awaitContract(
  context: OperationContext,
  target: DatabaseTarget,
  input: PhaseInput,
  planned: readonly PlannedFile[],
  report: Report,
): Promise<string[]> {
  const { wait = 0, reason } = input;
  const begun = context.clock.elapsed();
  for (;;) {
    const { folder, history, now } = await readFacts(context, target);
    const applied = new Set(history.map((row) => canonicalVersion(row.version)));
    if (planned.every((each) => applied.has(canonicalVersion(each.version)))) return [];
    refuseProblems(target.name, expandProblems(folder, applied, planned));
    const objections = [
      ...soakObjections(folder.migrations, history, input.soak ?? defaultSoak, now),
      ...(await trafficObjections(context, input)),
    ];
    if (objections.length === 0) return [];
    const messages = objections.map((each) => each.message);
    if (reason !== undefined) {
      report.log(`runs all the same, because: ${reason} (${messages.join("; ")})`);
      return messages;
    }
    const left = wait - (context.clock.elapsed() - begun);
    if (left <= 0) throw tooEarly(target, objections);
    report.progress({ message: `waits: ${messages.join("; ")}` });
    const soonest = Math.max(50, Math.min(...objections.map((each) => each.leftMs ?? pollInterval)));
    await pause(context, Math.min(pollInterval, left, soonest));
  }
}

async function readFacts(context: OperationContext, target: DatabaseTarget) {
  const folder = await readFolderOf(target);
  const options = { signal: context.signal, applicationName: "ops migrate (soak time)" };
  const read = async (client: pg.ClientBase) => {
    // The server's clock wrote the history.
    const { rows } = await client.query<{ now: Date }>("SELECT clock_timestamp() AS now");
    return { history: await readHistory(client), now: rows[0]?.now.getTime() ?? 0 };
  };
  return { folder, ...(await withConnection(target, options, read)) };
}

/** A contract migration takes away what the expand migrations before it have replaced. */
function expandProblems(
  { migrations, compare }: MigrationFolder,
  applied: ReadonlySet<string>,
  planned: readonly PlannedFile[],
): Problem[] {
  const pending = migrations.filter(
    (each) =>
      !applied.has(canonicalVersion(each.version)) && !each.repeatable && each.settings.phase === "expand",
  );
  return planned.flatMap((contract) => {
    const before = pending.filter((each) => compare(each.version, contract.version) < 0);
    if (before.length === 0) return [];
    return [
      {
        kind: "phase-order",
        message: `${title(contract)} (contract) comes after ${before.map(title).join(", ")} (expand), which is not applied`,
        hint: "apply it first: ops migrate up --phase expand",
      },
    ];
  });
}

/** Counted from the newest applied expand migration. */
export function soakObjections(
  migrations: readonly Migration[],
  history: readonly HistoryRow[],
  soak: Duration,
  now: number,
): Objection[] {
  const contract = new Set(
    migrations
      .filter((each) => each.repeatable === true || each.settings.phase === "contract")
      .map((each) => canonicalVersion(each.version)),
  );
  const newest = history
    .filter((row) => !contract.has(canonicalVersion(row.version)))
    .toSorted((a, b) => Date.parse(a.appliedAt) - Date.parse(b.appliedAt))
    .at(-1);
  if (newest === undefined) return [];
  const age = now - Date.parse(newest.appliedAt);
  if (age >= soak) return [];
  const message = `${title(newest)} has been in use for ${formatDuration(Math.max(0, age))} of a soak time of ${formatDuration(soak)}`;
  return [{ message, leftMs: soak - age }];
}

/** What the check of kind traffic-version says. */
async function trafficObjections(context: OperationContext, input: PhaseInput): Promise<Objection[]> {
  const version = input["traffic-version"];
  if (version === undefined) return [];
  const check = (await context.checks()).get("traffic-version");
  if (check === undefined) {
    throw new UsageError("E_INPUT", "Nothing here can tell which version has the traffic", {
      hint: "leave traffic-version out",
    });
  }
  const asked = check.input.parse({ version, ...(input.route === undefined ? {} : { route: input.route }) });
  const judgement = check.judge(await check.measure(context, asked), asked, {});
  return judgement.status === "pass" ? [] : [{ message: judgement.reason, leftMs: undefined }];
}

function tooEarly(target: DatabaseTarget, objections: readonly Objection[]): OpsError {
  const times = objections.map((each) => each.leftMs);
  const longest = Math.max(...times.map((each) => each ?? 0));
  const again = times.includes(undefined)
    ? "finish the shift of the traffic first"
    : `try again in ${formatDuration(longest)}, or let it wait with --wait`;
  return new OpsError(
    "E_CONTRACT_TOO_EARLY",
    `It is too early for the contract migrations of database ${target.name}: ${objections.map((each) => each.message).join("; ")}`,
    {
      exitCode: ExitCode.noGo,
      hint: `${again}; to run them all the same: --reason "WHY"`,
      details: { objections: objections.map((each) => each.message) },
    },
  );
}
