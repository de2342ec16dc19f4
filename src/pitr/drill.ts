import { z } from "zod";
import { counted } from "../core/counted.ts";
import { formatDuration } from "../core/duration.ts";
import { OpsError, UsageError } from "../core/errors.ts";
import { duration, name } from "../core/schema.ts";
import { formatBytes } from "../core/size.ts";
import { interruptible } from "../run/interruptible.ts";
import { defineOperation } from "../run/operation.ts";
import { type ArchiveDrill, newestArchiveDrill } from "../wal-archive/drill-record.ts";
import { drillStore } from "./drill-store.ts";
import { holdArchiveDrill } from "./hold-drill.ts";
import { jobs, restoreCommand, scratchDir } from "./restore-fields.ts";
import { parseTarget, type RestoreTarget, targetFields } from "./restore-target.ts";

const input = z.strictObject({
  database: name("A database of the cluster; the checks are asked in it").optional(),
  store: name("The store to restore from; default: the first one of its pitr settings").optional(),
  "to-time": targetFields["to-time"].describe("This moment; default: any that can be restored"),
  latest: targetFields.latest.describe("The end of the archive"),
  every: duration("Hold none where the newest one passed and is younger: 7d").optional(),
  rto: duration("Fail where it takes longer until the restored cluster answers").optional(),
  rpo: duration("Fail where the newest commit in the archive is older").optional(),
  checks: z
    .array(z.string().min(1, "must not be empty"))
    .default([])
    .describe("SQL that must return true in the restored database"),
  amcheck: z.boolean().default(false).describe("Also read every table and index with pg_amcheck"),
  jobs,
  "scratch-dir": scratchDir,
  "restore-command": restoreCommand,
});

const output = z.object({
  database: z.string(),
  store: z.string(),
  verdict: z.enum(["pass", "fail", "skipped"]).describe("skipped: the newest drill is young enough"),
  reason: z.string().nullable().describe("Why it failed"),
  startedAt: z.string().describe("Of the newest drill where this one was skipped, as all below"),
  target: z.string().describe("The moment that was restored"),
  base: z.string().nullable(),
  timeline: z.number().nullable(),
  recoveryTimeMs: z.number().nullable().describe("RTO as measured: until the restored cluster answered"),
  recoveryPointMs: z
    .number()
    .nullable()
    .describe("RPO as measured: how old the newest commit in the archive was"),
  newestCommit: z.string().nullable(),
  lastTransaction: z.string().nullable().describe("The last one in the restored cluster"),
  serverVersion: z.string().nullable(),
  clusterBytes: z.number().nullable(),
  databases: z.array(z.string()).describe("Those that could be connected to"),
  amcheck: z.boolean(),
  checks: z.array(z.object({ sql: z.string(), passed: z.boolean() })),
  durationMs: z.number(),
});

/**
 * Guarantee: the archive is only read, and one record is added to it, whole, when there is a verdict. Killed, it leaves a
 * folder that a watchdog, or the next temporary cluster, removes.
 */
export const drill = defineOperation({
  name: "pitr.drill",
  summary: "Restore a cluster to any moment into a throw-away server, and record what that took",
  example: "pitr drill --database main --every 7d",
  effect: "read",
  input,
  output,
  observe: async () => null,
  plan: () => [],

  async apply(context, input, _before, report) {
    const moment = momentOf(input);
    const database = context.environment.database(input.database);
    const records = drillStore(context, database, input.store);
    const owner = { environment: context.environment.name, database: database.name };
    const answer = (record: ArchiveDrill, verdict: "pass" | "fail" | "skipped") => {
      const { format: _, version: __, environment: ___, run: ____, actor: _____, ...rest } = record;
      return { ...rest, store: records.name, verdict };
    };
    if (input.every !== undefined) {
      const newest = await newestArchiveDrill(records.store, owner);
      const now = context.clock.now();
      if (newest !== undefined && isYoung(newest, now, input.every)) return answer(newest, "skipped");
    }
    const { rto, rpo, checks, amcheck, jobs } = input;
    const scratch = {
      "scratch-dir": input["scratch-dir"],
      "restore-command": input["restore-command"],
    };
    const record = await interruptible(context, (signal) =>
      holdArchiveDrill(
        context,
        { database, store: input.store, moment, rto, rpo, checks, amcheck, jobs, scratch },
        report,
        signal,
      ),
    );
    return answer(record, record.verdict);
  },

  failure({ database, store, verdict, reason }) {
    if (verdict !== "fail") return undefined;
    return new OpsError("E_DRILL_FAILED", `The archive of ${database} in ${store} did not pass: ${reason}`, {
      hint: "look at it with: ops pitr window; a new base backup is a new beginning: ops pitr base create",
      retryable: false,
    });
  },

  render(seen) {
    if (seen.verdict === "fail") return `Drill of ${seen.database} to ${seen.target}: FAILED, ${seen.reason}`;
    const what = `${seen.database} was restored to ${seen.target} (base backup ${seen.base})`;
    if (seen.verdict === "skipped") return `No drill is due: at ${seen.startedAt} ${what}`;
    const { recoveryTimeMs, recoveryPointMs, checks, databases } = seen;
    const held = checks.length === 0 ? "" : `, ${counted(checks.length, "check")} held`;
    const checked = seen.amcheck ? ", every table and index is sound" : "";
    return [
      `${what} on PostgreSQL ${seen.serverVersion}: ${formatBytes(seen.clusterBytes ?? 0)}, ` +
        `${counted(databases.length, "database")} answered${checked}${held}`,
      `recovery time ${formatDuration(recoveryTimeMs ?? 0)} (${formatDuration(seen.durationMs)} in all)`,
      recoveryPointMs === null
        ? "recovery point not known: no commit is near the end of the archive"
        : `recovery point ${formatDuration(recoveryPointMs)}: the newest commit in the archive was of ${seen.newestCommit}`,
    ].join("\n");
  },
});

/** Undefined: any. Throws `E_INPUT`. */
function momentOf(input: {
  readonly "to-time"?: string | undefined;
  readonly latest: boolean;
}): RestoreTarget | undefined {
  if (input["to-time"] === undefined && !input.latest) return undefined;
  if (input["to-time"] !== undefined && input.latest) {
    throw new UsageError("E_INPUT", "A drill restores one moment, and two are given", {
      hint: "leave out --to-time or --latest",
    });
  }
  return parseTarget(input);
}

/** A weekly timer is never exactly a week after the drill before: an hour, or a tenth of a shorter time, is given. */
function isYoung({ verdict, startedAt }: ArchiveDrill, now: Date, every: number): boolean {
  const age = now.getTime() - Date.parse(startedAt);
  return verdict === "pass" && age < every - Math.min(every / 10, 3_600_000);
}
