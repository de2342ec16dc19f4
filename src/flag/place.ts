import { existsSync } from "node:fs";
import { resolve } from "node:path";
import { z } from "zod";
import { UsageError } from "../core/errors.ts";
import type { FlagSet } from "../flag-source/flag-set.ts";
import type { FlagSource } from "../flag-source/flag-source.ts";
import { openFlagSource } from "../flag-source/open-source.ts";
import type { OperationContext } from "../run/context.ts";
import { withFlagSource } from "./source.ts";

/** A file of flags. */
export const place = (description: string) => z.string().min(1, "must not be empty").describe(description);

/** Reads a source of `.opsrc` (undefined: the only one), or a file that must be there. */
export function readPlace(
  context: OperationContext,
  name: string | undefined,
  isFile: boolean,
): Promise<FlagSet> {
  return withPlace(context, name, isFile, (opened) => opened.read());
}

/** As `readPlace`, for more than reading. */
export async function withPlace<T>(
  context: OperationContext,
  name: string | undefined,
  isFile: boolean,
  work: (source: FlagSource) => Promise<T>,
): Promise<T> {
  if (!isFile || name === undefined) return withFlagSource(context, name, work);
  const file = resolve(name);
  if (!existsSync(file)) {
    throw new UsageError("E_FLAG_FILE", `There is no file ${name}`, {
      hint: "give the path of a file in flagd's format",
    });
  }
  return work(fileAt(context, file));
}

function fileAt(context: OperationContext, file: string): FlagSource {
  return openFlagSource(
    { name: file, driver: "file", file, history: `${file}.history.jsonl` },
    { stateDirectory: context.stateDirectory, now: () => context.clock.now(), signal: context.signal },
  );
}
