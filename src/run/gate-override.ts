import type { SQLOutputValue } from "node:sqlite";
import { formatMoment } from "../core/moment.ts";
import { GateRecord } from "./gate-record.ts";

/** A person's word that a check may fail for a while, and the gate still says go. Times are UTC, ISO 8601. */
export type Override = {
  id: string;
  environment: string;
  gate: string;
  check: string;
  /** Who answers for it. */
  by: string;
  /** Whose account typed it, and where. */
  actor: string;
  host: string;
  reason: string;
  /** The run that journaled it. */
  run?: string;
  at: string;
  until: string;
  revoked?: { at: string; by: string; actor: string; host: string; reason: string };
};

export type Revocation = NonNullable<Override["revoked"]>;

/** Which overrides are meant; all of an environment where nothing else is said. */
export interface OverridePlace {
  readonly environment: string;
  readonly gate?: string | undefined;
  readonly check?: string | undefined;
}

export type OverrideState = "active" | "expired" | "revoked";

export function overrideState({ until, revoked }: Override, now: Date): OverrideState {
  if (revoked !== undefined) return "revoked";
  return Date.parse(until) > now.getTime() ? "active" : "expired";
}

/** `overridden by Ann until 2026-11-22 14:00 UTC: the vendor's maintenance` */
export function shownOverride({ by, until, reason }: Pick<Override, "by" | "until" | "reason">): string {
  return `overridden by ${by} until ${formatMoment(new Date(until))}: ${reason}`;
}

/** All that were ever given, newest first. Throws `E_GATE_RECORD`. */
export function overridesIn(stateDirectory: string, place: OverridePlace): Override[] {
  const record = GateRecord.openToRead(stateDirectory);
  if (record === undefined) return [];
  try {
    return readOverrides(record, place);
  } finally {
    record.close();
  }
}

export function readOverrides(record: GateRecord, { environment, gate, check }: OverridePlace): Override[] {
  return record
    .read((database) =>
      database
        .prepare(
          `SELECT * FROM override WHERE environment = ?1 AND (?2 IS NULL OR gate = ?2) AND (?3 IS NULL OR check_id = ?3)
           ORDER BY given_at DESC, rowid DESC`,
        )
        .all(environment, gate ?? null, check ?? null),
    )
    .map(overrideOf);
}

/** The one of each check that counts now: the one that lasts longest. */
export function activeOverrides(overrides: readonly Override[], now: Date): Map<string, Override> {
  const active = overrides
    .filter((each) => overrideState(each, now) === "active")
    .sort((a, b) => Date.parse(a.until) - Date.parse(b.until));
  return new Map(active.map((each) => [each.check, each]));
}

/** Durable when it returns. The same one again (by its id) is not a second one. Throws `E_GATE_RECORD`. */
export function keepOverride(stateDirectory: string, override: Override): void {
  withRecord(stateDirectory, (record) =>
    record.write((database) =>
      database
        .prepare(
          `INSERT INTO override (id, environment, gate, check_id, given_by, actor, host, reason, run, given_at, until)
           VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING`,
        )
        .run(
          override.id,
          override.environment,
          override.gate,
          override.check,
          override.by,
          override.actor,
          override.host,
          override.reason,
          override.run ?? null,
          Date.parse(override.at),
          Date.parse(override.until),
        ),
    ),
  );
}

/** Marks those of them that are not revoked yet; they stay to be seen. Throws `E_GATE_RECORD`. */
export function revokeOverrides(
  stateDirectory: string,
  ids: readonly string[],
  revocation: Revocation,
): void {
  const { at, by, actor, host, reason } = revocation;
  withRecord(stateDirectory, (record) =>
    record.write((database) => {
      const revoke = database.prepare(
        `UPDATE override SET revoked_at = ?, revoked_by = ?, revoked_actor = ?, revoked_host = ?, revoked_reason = ?
         WHERE id = ? AND revoked_at IS NULL`,
      );
      for (const id of ids) revoke.run(Date.parse(at), by, actor, host, reason, id);
    }),
  );
}

function withRecord(stateDirectory: string, work: (record: GateRecord) => void): void {
  const record = GateRecord.open(stateDirectory);
  try {
    work(record);
  } finally {
    record.close();
  }
}

function overrideOf(row: Record<string, SQLOutputValue>): Override {
  return {
    id: String(row.id),
    environment: String(row.environment),
    gate: String(row.gate),
    check: String(row.check_id),
    by: String(row.given_by),
    actor: String(row.actor),
    host: String(row.host),
    reason: String(row.reason),
    ...(row.run === null ? {} : { run: String(row.run) }),
    at: isoTime(row.given_at),
    until: isoTime(row.until),
    ...(row.revoked_at === null
      ? {}
      : {
          revoked: {
            at: isoTime(row.revoked_at),
            by: String(row.revoked_by),
            actor: String(row.revoked_actor),
            host: String(row.revoked_host),
            reason: String(row.revoked_reason),
          },
        }),
  };
}

function isoTime(ms: SQLOutputValue | undefined): string {
  return new Date(Number(ms)).toISOString();
}
