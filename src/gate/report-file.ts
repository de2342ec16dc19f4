import { createReadStream } from "node:fs";
import { glob, stat } from "node:fs/promises";
import { isAbsolute, relative, resolve } from "node:path";
import { digest } from "../core/digest.ts";
import { formatDuration, parseDuration } from "../core/duration.ts";
import { OpsError } from "../core/errors.ts";
import { formatBytes } from "../core/size.ts";
import type { OperationContext } from "../run/context.ts";

/** A file that another program wrote, read to judge by it. */
export interface ReportFile {
  /** As a person would write it: relative to the configuration's folder where it lies in it. */
  readonly shown: string;
  /** Absolute. */
  readonly path: string;
  readonly text: string;
  /** When it was last written: milliseconds since 1970. */
  readonly writtenAt: number;
  readonly sha256: string;
}

/** What stands in a check's evidence of the files that it read. */
export type ReportEvidence = { readonly file: string; readonly writtenAt: string; readonly sha256: string };

/** No report of tests is longer; what is longer is refused and not half read. */
const largest = 64 * 2 ** 20;
const mostFiles = 10_000;
/** Clocks of two machines may differ a little. */
const clockTolerance = parseDuration("5m");

/**
 * Every file that one of the patterns matches, each of which must match one. Throws `E_REPORT_MISSING`, `E_REPORT_OLD`,
 * `E_REPORT_SIZE`: what a gate cannot go by is unknown.
 *
 * @param patterns paths and globs, relative to the configuration's folder
 * @param maxAge milliseconds since the oldest was written; undefined: any
 */
export async function readReports(
  context: OperationContext,
  patterns: readonly string[],
  maxAge: number | undefined,
): Promise<ReportFile[]> {
  const { directory } = context.environment;
  const paths = new Set<string>();
  for (const pattern of patterns) {
    const found = await matching(directory, pattern);
    if (found.length === 0) {
      throw new OpsError("E_REPORT_MISSING", `There is no file ${pattern}`, {
        hint: `paths begin at ${directory}`,
        retryable: false,
      });
    }
    for (const path of found) paths.add(path);
  }
  const files: ReportFile[] = [];
  let room = largest;
  for (const path of [...paths].sort()) {
    const file = await readReport(context, path, room);
    room -= Buffer.byteLength(file.text);
    requireFresh(context, file.shown, file.writtenAt, maxAge);
    files.push(file);
  }
  return files;
}

export function reportEvidence(files: readonly ReportFile[]): ReportEvidence[] {
  // The evidence of a thousand files is the first ones' and their number, which stands beside it.
  return files.slice(0, 50).map(({ shown, writtenAt, sha256 }) => ({
    file: shown,
    writtenAt: new Date(writtenAt).toISOString(),
    sha256,
  }));
}

/** Throws `E_REPORT_OLD` where something was written too long ago, or later than now. */
export function requireFresh(
  context: OperationContext,
  shown: string,
  writtenAt: number,
  maxAge: number | undefined,
): void {
  const age = context.clock.now().getTime() - writtenAt;
  if (age < -clockTolerance) {
    throw new OpsError(
      "E_REPORT_OLD",
      `${shown} is from ${formatDuration(-age)} in the future: clocks differ`,
      {
        retryable: false,
      },
    );
  }
  if (maxAge === undefined || age <= maxAge) return;
  throw new OpsError(
    "E_REPORT_OLD",
    `${shown} is ${formatDuration(age)} old, max-age is ${formatDuration(maxAge)}`,
    { hint: "run what writes it again", retryable: false },
  );
}

async function matching(directory: string, pattern: string): Promise<string[]> {
  const exact = resolve(directory, pattern);
  if (await isFile(exact)) return [exact];
  const found: string[] = [];
  for await (const path of glob(pattern, { cwd: directory })) {
    const whole = isAbsolute(path) ? path : resolve(directory, path);
    if (await isFile(whole)) found.push(whole);
    if (found.length > mostFiles) {
      throw new OpsError("E_REPORT_SIZE", `${pattern} matches more than ${mostFiles} files`, {
        retryable: false,
      });
    }
  }
  return found;
}

async function isFile(path: string): Promise<boolean> {
  try {
    return (await stat(path)).isFile();
  } catch (error) {
    if (error instanceof Error && "code" in error && (error.code === "ENOENT" || error.code === "ENOTDIR"))
      return false;
    throw error;
  }
}

async function readReport(context: OperationContext, path: string, room: number): Promise<ReportFile> {
  const near = relative(context.environment.directory, path);
  const shown = near.startsWith("..") ? path : near;
  const { mtimeMs } = await stat(path);
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of createReadStream(path, { signal: context.signal })) {
    const bytes = chunk as Buffer;
    length += bytes.length;
    if (length > room) {
      throw new OpsError(
        "E_REPORT_SIZE",
        `${shown} and the files before it are larger than ${formatBytes(largest)}`,
        {
          retryable: false,
        },
      );
    }
    chunks.push(bytes);
  }
  const bytes = Buffer.concat(chunks);
  return {
    shown,
    path,
    text: bytes.toString("utf8").replace(/^\uFEFF/, ""),
    writtenAt: mtimeMs,
    sha256: digest(bytes),
  };
}
