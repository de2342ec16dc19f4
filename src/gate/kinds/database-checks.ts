import type { Check } from "../../run/check.ts";
import { bloatCheck } from "./bloat-check.ts";
import { connectionsCheck } from "./connections-check.ts";
import { diskCheck } from "./disk-check.ts";
import { locksCheck } from "./locks-check.ts";
import { longTransactionsCheck } from "./long-transactions-check.ts";
import { replicationLagCheck } from "./replication-lag-check.ts";

/** What a PostgreSQL server tells about itself, and the disks that it is on. */
export const databaseChecks: readonly Check[] = [
  replicationLagCheck,
  connectionsCheck,
  longTransactionsCheck,
  locksCheck,
  bloatCheck,
  diskCheck,
];
