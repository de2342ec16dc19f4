import { Secret } from "../config/secret.ts";
import { causeText, OpsError } from "../core/errors.ts";
import { redact } from "../core/redaction.ts";
import { timeoutSignal } from "../core/timer.ts";
import { revealHeaders } from "../http/headers.ts";
import { runProgram } from "../process/run-program.ts";
import type { OperationContext } from "../run/context.ts";
import type { Ledger, Notice } from "./ledger.ts";
import { claimNotice, postponeNotice, removeNotice } from "./ledger-writes.ts";
import { type PingKind, problemOf, sendPing } from "./ping.ts";
import type { Schedule } from "./schedule.ts";

/** While a process sends a notice no other one does; after its death it is sent again. Milliseconds. */
const claimed = 90_000;
const commandTimeout = 60_000;
/** A success of an hour ago is no sign of life; that something failed is worth a day of trying. Milliseconds. */
const patience: Record<Notice["channel"], number> = { ping: 3_600_000, notification: 86_400_000 };
/** Between two attempts, milliseconds; grows with each. */
const pause = 60_000;

/**
 * Sends what is waiting, each at least once: a process that is killed between the sending and the note of it leaves it
 * to be sent again. Returns what went wrong; that never fails a run.
 */
export async function deliver(
  context: OperationContext,
  ledger: Ledger,
  schedules: readonly Schedule[],
): Promise<string[]> {
  const all = await Promise.all(ledger.notices().map((each) => deliverOne(context, ledger, schedules, each)));
  return all.filter((each) => each !== undefined);
}

async function deliverOne(
  context: OperationContext,
  ledger: Ledger,
  schedules: readonly Schedule[],
  notice: Notice,
): Promise<string | undefined> {
  const now = context.clock.now().getTime();
  if (!claimNotice(ledger, notice.id, now, now + claimed)) return undefined;
  const problem = await send(context, schedules, notice);
  if (problem === undefined) {
    removeNotice(ledger, notice.id);
    return undefined;
  }
  const ended = context.clock.now().getTime();
  if (ended - notice.createdAt > patience[notice.channel]) {
    removeNotice(ledger, notice.id);
    return `${problem}; given up after ${notice.attempts + 1} attempts`;
  }
  // A little less than whole minutes: the tick that is to try again comes at a whole one.
  postponeNotice(ledger, notice.id, ended + (notice.attempts + 1) * pause - pause / 4, problem);
  return `${problem}; will be tried again`;
}

/** A schedule or a notification that is configured no more has nobody to be told. */
async function send(
  context: OperationContext,
  schedules: readonly Schedule[],
  notice: Notice,
): Promise<string | undefined> {
  if (notice.channel === "ping") {
    const schedule = schedules.find((each) => each.name === notice.schedule);
    return schedule === undefined ? undefined : sendPing(context, schedule, notice.target as PingKind);
  }
  if (!context.environment.names("notifications").includes(notice.target)) return undefined;
  return notify(context, notice.target, JSON.stringify(notice.body));
}

/** Tells one notification; returns what went wrong. */
async function notify(context: OperationContext, name: string, body: string): Promise<string | undefined> {
  const settings = context.environment.notification(name);
  const { directory } = context.environment;
  const what = `notification ${name}`;
  const { url, command } = settings;
  if (url !== undefined) {
    return problemOf(what, async () => ({
      url: await new Secret(url, directory).reveal(),
      headers: { "content-type": "application/json", ...(await revealHeaders(settings.headers, directory)) },
      body,
    }));
  }
  const [program = "", ...args] = command ?? [];
  try {
    const { exitCode, stderr } = await runProgram(program, args, {
      cwd: directory,
      env: variablesNamed(settings.variables),
      input: `${body}\n`,
      signal: timeoutSignal(commandTimeout),
    });
    const last = stderr.split("\n").at(-1) ?? "";
    return exitCode === 0
      ? undefined
      : `${what}: ${program} ended with exit code ${exitCode}${last === "" ? "" : `: ${redact(last)}`}`;
  } catch (error) {
    if (error instanceof DOMException) return `${what}: ${program} took longer than a minute`;
    if (!(error instanceof OpsError)) throw error;
    const cause = causeText(error.cause);
    return `${what}: ${error.message}${cause === undefined ? "" : `: ${cause}`}`;
  }
}

function variablesNamed(names: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    names.flatMap((name) => {
      const value = process.env[name];
      return value === undefined ? [] : [[name, value] as const];
    }),
  );
}
