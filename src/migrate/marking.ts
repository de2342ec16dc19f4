import { z } from "zod";
import type { DatabaseTarget } from "../config/environment.ts";
import type { OperationContext } from "../run/context.ts";
import type { Change, Report, UndoResult } from "../run/operation.ts";
import {
  ensureHistoryTable,
  type LogAction,
  literals,
  logLine,
  readHistory,
  recordTakenBack,
} from "./history-table.ts";
import { type Migration, title } from "./migration-file.ts";
import { attribution } from "./run-migration.ts";
import { withMigrationSession } from "./session.ts";
import { commitOwn } from "./sql-message.ts";
import { canonicalVersion } from "./version.ts";

/** A migration that is taken for applied without being run. */
export type Mark = {
  readonly version: string;
  readonly name: string;
  readonly checksum: string;
  /** ISO 8601; null: now. */
  readonly appliedAt: string | null;
  /** Null: who marks it. */
  readonly appliedBy: string | null;
};

export type MarksBefore = { readonly database: string; readonly marks: Mark[] };

const markedSchema = z.object({
  database: z.string().describe("The database"),
  marked: z.number().describe("How many migrations are now taken for applied"),
  current: z.string().nullable().describe("The newest applied version; null where there is none"),
});

interface MarkingInput {
  readonly database?: string | undefined;
  readonly "lock-wait": number;
}

/** What operations have in common that take migrations for applied; they differ in how they find them. */
export function marking(action: LogAction) {
  return {
    effect: "change",
    output: markedSchema,
    targets: ({ database }: MarkingInput, environment: OperationContext["environment"]) => [
      `database:${environment.database(database).name}`,
    ],
    plan: planMarks,
    apply: (context: OperationContext, input: MarkingInput, before: MarksBefore, report: Report) => {
      const target = context.environment.database(input.database);
      return applyMarks(context, target, input["lock-wait"], before, action, report);
    },
    undo: (context: OperationContext, input: MarkingInput, before: MarksBefore, report: Report) => {
      const target = context.environment.database(input.database);
      return undoMarks(context, target, input["lock-wait"], before, report);
    },
    render: renderMarks,
  } as const;
}

export function markOf(migration: Migration): Mark {
  const { version, name, up } = migration;
  return { version, name, checksum: up.checksum, appliedAt: null, appliedBy: null };
}

function planMarks({ database, marks }: MarksBefore): Change[] {
  return marks.map((each) => ({
    target: `database:${database}`,
    action: "create",
    summary: `take ${title(each)} for applied, without running it`,
    to: each.checksum,
  }));
}

/** Writes all marks in one transaction. Those that are there already stay. */
async function applyMarks(
  context: OperationContext,
  target: DatabaseTarget,
  lockWait: number,
  before: MarksBefore,
  action: LogAction,
  report: Report,
): Promise<z.output<typeof markedSchema>> {
  return withMigrationSession(context, target, lockWait, report, async (session) => {
    const { client } = session;
    await ensureHistoryTable(client);
    const there = new Set((await readHistory(client)).map((row) => canonicalVersion(row.version)));
    const by = attribution(session);
    const lines = before.marks
      .filter((each) => !there.has(canonicalVersion(each.version)))
      .map(
        (
          each,
        ) => `INSERT INTO ops.migration (version, name, checksum, applied_by, run_id, applied_at, duration_ms)
VALUES (${literals(each.version, each.name, each.checksum, each.appliedBy ?? by.appliedBy, by.runId)},
  ${each.appliedAt === null ? "clock_timestamp()" : `${literals(each.appliedAt)}::timestamptz`}, 0);
${logLine(action, each, by, null)}`,
      );
    await session.lock.confirm();
    await commitOwn(session, lines.join("\n"));
    return {
      database: target.name,
      marked: before.marks.length,
      current: before.marks.at(-1)?.version ?? null,
    };
  });
}

/** Takes away the marks that this run has written. */
async function undoMarks(
  context: OperationContext,
  target: DatabaseTarget,
  lockWait: number,
  before: MarksBefore,
  report: Report,
): Promise<UndoResult> {
  return withMigrationSession(context, target, lockWait, report, async (session) => {
    const marked = new Set(before.marks.map((each) => canonicalVersion(each.version)));
    const by = attribution(session);
    const ours = (await readHistory(session.client)).filter(
      (row) => marked.has(canonicalVersion(row.version)) && row.runId === by.runId,
    );
    const lines = ours.map((row) => recordTakenBack(row, by, 0, "forget"));
    await commitOwn(session, lines.join("\n"));
    return { undone: true };
  });
}

function renderMarks({ database, marked, current }: z.output<typeof markedSchema>): string {
  return `${marked} ${marked === 1 ? "migration is" : "migrations are"} taken for applied, none was run; database ${database} is at ${current ?? "no version"}`;
}
