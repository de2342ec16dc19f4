import { OpsError } from "../core/errors.ts";
import { formatLsn, lsn } from "./lsn.ts";
import { isSegmentSize, parseSegment, startOf } from "./segment.ts";

/** What the first page of a segment says of its cluster. */
export interface SegmentHeader {
  /** pg_control_system().system_identifier, in decimal. */
  readonly systemIdentifier: string;
  /** wal_segment_size. */
  readonly segmentBytes: number;
}

/** Bytes of a segment that `readSegmentHeader` needs. */
export const headerBytes = 40;
/** XLP_LONG_HEADER: the first page of a segment has what is read here. */
const longHeader = 0x0002;

/**
 * XLogLongPageHeaderData (xlog_internal.h), of a server with the byte order of nearly all machines: little-endian.
 *
 * @param name as PostgreSQL named the file; a `.partial` one included
 * @param bytes its first bytes
 * @throws `E_WAL_SEGMENT` where it is no segment, or not the one that its name says
 */
export function readSegmentHeader(name: string, bytes: Buffer): SegmentHeader {
  if (bytes.length < headerBytes || (bytes.readUInt16LE(2) & longHeader) === 0 || bytes[1] !== 0xd1) {
    throw broken(name, "does not begin as a segment of the write-ahead log does");
  }
  const pageAddress = lsn(bytes.readBigUInt64LE(8));
  const systemIdentifier = bytes.readBigUInt64LE(24).toString();
  const segmentBytes = bytes.readUInt32LE(32);
  if (!isSegmentSize(segmentBytes)) throw broken(name, `says that segments have ${segmentBytes} bytes`);
  const segment = parseSegment(name, segmentBytes);
  if (segment === undefined) throw broken(name, `is no name of a segment of ${segmentBytes} bytes`);
  if (startOf(segment, segmentBytes) !== pageAddress)
    throw broken(name, `holds the log from ${formatLsn(pageAddress)} on, which its name does not say`);
  return { systemIdentifier, segmentBytes };
}

function broken(name: string, why: string): OpsError {
  return new OpsError("E_WAL_SEGMENT", `${name} ${why}`, {
    hint: "give the command what PostgreSQL gives it: archive_command = 'ops wal push %p'",
    details: { segment: name },
    retryable: false,
  });
}
