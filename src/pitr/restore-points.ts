import { UsageError } from "../core/errors.ts";
import { withConnection } from "../postgres/connection.ts";
import type { RestorePointMaker } from "../run/restore-point.ts";
import { makePoint } from "./make-point.ts";

/** For the engine: it names a moment before it lets an operation change what may be wanted back. */
export const restorePoints: RestorePointMaker = {
  async isArchived(context, name) {
    const database = context.environment.database(name);
    const [seen] = await withConnection(database, { signal: context.signal }, async (client) => {
      // A receiver needs no archive_mode; its slot tells of it.
      const { rows } = await client.query<{ archived: boolean; allowed: boolean; role: string }>(
        `
        SELECT current_setting('archive_mode') <> 'off'
               OR EXISTS (SELECT FROM pg_replication_slots WHERE slot_type = 'physical' AND slot_name = $1)
               AS archived,
               has_function_privilege('pg_create_restore_point(text)', 'execute')
               AND has_function_privilege('pg_switch_wal()', 'execute') AS allowed,
               quote_ident(current_user) AS role`,
        [database.pitr?.engine === "ops" ? database.pitr.slot : null],
      );
      return rows;
    });
    if (seen?.archived !== true) return false;
    if (seen.allowed) return true;
    throw new UsageError("E_RESTORE_POINT", `The user ${seen.role} of ${name} may not make a restore point`, {
      hint:
        `as a superuser: GRANT EXECUTE ON FUNCTION pg_create_restore_point(text), pg_switch_wal() TO ${seen.role}; ` +
        "or go on without one: --no-restore-point",
    });
  },

  async make(context, database, name, report) {
    const { lsn, madeAt } = await makePoint(context, database, name, report);
    return { database, name, lsn, madeAt };
  },
};
