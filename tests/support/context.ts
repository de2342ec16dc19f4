import { join } from "node:path";
import { Environment } from "../../src/config/environment.ts";
import { environmentSchema } from "../../src/config/schema.ts";
import { systemClock } from "../../src/core/clock.ts";
import { InterruptedError, type Json } from "../../src/core/errors.ts";
import type { Check } from "../../src/run/check.ts";
import type { OperationContext } from "../../src/run/context.ts";
import type { Change, Operation, Report, UndoResult } from "../../src/run/operation.ts";
import type { RestorePointMaker } from "../../src/run/restore-point.ts";

export interface TestContext extends OperationContext {
  /** Asks the run to end at its next safe point, as the first Ctrl-C does, or (`TerminatedError`) a SIGTERM. */
  requestStop(reason?: InterruptedError): void;
}

/** A context over the given settings (`databases:`, `stores:`, …; as in `.opsrc`), outside any journal. */
export function testContext(
  settings: object,
  options: {
    directory?: string;
    /** Its name. */
    environment?: string;
    checks?: readonly Check[];
    signal?: AbortSignal;
    /** Default: no cluster is archived. */
    restorePoints?: RestorePointMaker;
  } = {},
): TestContext {
  const stop = new AbortController();
  return {
    environment: new Environment(
      options.environment ?? "test",
      options.directory ?? process.cwd(),
      environmentSchema.parse(settings),
    ),
    stateDirectory: join(options.directory ?? process.cwd(), ".ops"),
    clock: systemClock,
    signal: options.signal ?? new AbortController().signal,
    stop: stop.signal,
    safePoint: () => {
      if (stop.signal.aborted) throw stop.signal.reason;
    },
    actor: "test@localhost",
    runId: "20260101-000000-test",
    checks: async () => new Map((options.checks ?? []).map((check) => [check.kind, check])),
    requireCommand: async () => {},
    restorePoints: async () => options.restorePoints ?? nothingArchived,
    requestStop: (reason = new InterruptedError()) => stop.abort(reason),
  };
}

const nothingArchived: RestorePointMaker = {
  isArchived: async () => false,
  make: async () => {
    throw new Error("nothing is archived here");
  },
};

/** A report that keeps what it is told. */
export class RecordingReport implements Report {
  readonly checkpoints: Json[] = [];
  readonly lines: string[] = [];
  readonly messages: string[] = [];
  last: Json | undefined;

  constructor(last?: Json) {
    this.last = last;
  }

  progress({ message }: { message: string }): void {
    this.messages.push(message);
  }

  log(line: string): void {
    this.lines.push(line);
  }

  async checkpoint(data: Json): Promise<void> {
    this.checkpoints.push(structuredClone(data));
    this.last = structuredClone(data);
  }
}

export interface Performed {
  readonly before: Json;
  readonly changes: readonly Change[];
  readonly output: unknown;
  readonly report: RecordingReport;
  undo(): Promise<UndoResult>;
}

/** observe → plan → apply as the engine does it, `before` through JSON as the journal does. */
export async function perform(
  operation: Operation,
  context: OperationContext,
  input: object,
  report = new RecordingReport(),
): Promise<Performed> {
  const parsed = operation.input.parse(input);
  const before = JSON.parse(JSON.stringify(await operation.observe(context, parsed))) as Json;
  const changes = operation.plan(before, parsed);
  const output = operation.output.parse(await operation.apply(context, parsed, before, report));
  return {
    before,
    changes,
    output,
    report,
    undo: async () => {
      if (operation.undo === undefined) throw new Error(`${operation.name} has no undo`);
      return operation.undo(context, parsed, before, report);
    },
  };
}
