import { z } from "zod";

/** Inputs of everything that restores. */
export const jobs = z
  .int()
  .min(1)
  .max(16)
  .default(2)
  .describe(
    "How many objects are unpacked at once: a tablespace is one, all the rest of the cluster another",
  );

export const restoreCommand = z
  .string()
  .min(1)
  .optional()
  .describe("How the restored server gets WAL, with %f and %p; default: ops wal fetch");

export const scratchDir = z
  .string()
  .min(1)
  .optional()
  .describe(
    "Where the temporary cluster is put, with room for all of it; default: scratch beside the journal",
  );
