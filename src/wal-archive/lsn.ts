import { UsageError } from "../core/errors.ts";

/** A position in the write-ahead log, in bytes from its beginning. */
export type Lsn = bigint & { readonly __unit: "lsn" };

const pattern = /^([0-9A-Fa-f]{1,8})\/([0-9A-Fa-f]{1,8})$/;

export function lsn(value: bigint): Lsn {
  return value as Lsn;
}

/** `16/B374D848`, as PostgreSQL writes a pg_lsn. Throws `E_WAL_LSN` on anything else. */
export function parseLsn(text: string): Lsn {
  const [, high, low] = pattern.exec(text.trim()) ?? [];
  if (high === undefined || low === undefined) {
    throw new UsageError("E_WAL_LSN", `"${text}" is not a position in the write-ahead log`, {
      hint: "write it as PostgreSQL does: 16/B374D848",
    });
  }
  return lsn((BigInt(`0x${high}`) << 32n) + BigInt(`0x${low}`));
}

export function formatLsn(value: Lsn): string {
  const hex = (part: bigint) => part.toString(16).toUpperCase();
  return `${hex(value >> 32n)}/${hex(value & 0xffff_ffffn)}`;
}
