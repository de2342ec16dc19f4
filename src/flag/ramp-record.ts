import { z } from "zod";
import { OpsError } from "../core/errors.ts";
import { definitionSchema, type FlagDefinition } from "../flag-source/definition.ts";
import { RolloutGuard } from "../rollout/guard.ts";
import { RolloutFiles, type RolloutKind, type RolloutRecord, rolloutRecord } from "../rollout/record.ts";
import type { OperationContext } from "../run/context.ts";

const definition = definitionSchema as unknown as z.ZodType<FlagDefinition>;

/** A ramp that has given out something, or may have: what another process needs to take it back. */
const recordSchema = rolloutRecord.extend({
  flag: z.string(),
  /** Null: the default one. */
  source: z.string().nullable(),
  before: definition,
  /** What the flag is in its steps. */
  given: z.array(definition),
});
export type RampRecord = RolloutRecord & {
  flag: string;
  source: string | null;
  before: FlagDefinition;
  given: FlagDefinition[];
};

const ramps: RolloutKind<RampRecord> = {
  folder: "flag",
  noun: "ramp",
  schema: recordSchema,
  aborted: (request) =>
    new OpsError(
      "E_RAMP_ABORTED",
      `${request.by} aborted the ramp${request.reason === null ? "" : `: ${request.reason}`}`,
      {
        hint: "the flag is what it was before the ramp",
        details: { verdict: "abort", ...request },
        retryable: false,
      },
    ),
};

/** The files beside the journal by which the processes of one machine know of a flag's ramp. */
export class RampFiles extends RolloutFiles<RampRecord> {
  /** @param source as the environment calls it; undefined: the default one */
  constructor(
    context: Pick<OperationContext, "stateDirectory" | "environment">,
    source: string | undefined,
    flag: string,
  ) {
    super(context, ramps, `${context.environment.flagSource(source).name}.${flag}`);
  }
}

export type RampGuard = RolloutGuard<RampRecord>;

/** Before the flag is changed. */
export function guardRamp(
  context: OperationContext,
  version: string,
  onCrash: "return" | "hold",
  own: Omit<RampRecord, keyof RolloutRecord>,
): Promise<RampGuard> {
  const { flag, source } = own;
  const abort = ["flag", "abort", flag, ...(source === null ? [] : ["--source", source])];
  const files = new RampFiles(context, source ?? undefined, flag);
  return RolloutGuard.begin(context, files, { version, onCrash, abort, own });
}
