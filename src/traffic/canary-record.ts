import { z } from "zod";
import { OpsError } from "../core/errors.ts";
import { RolloutFiles, type RolloutKind, rolloutRecord } from "../rollout/record.ts";
import type { OperationContext } from "../run/context.ts";

/** A canary that has traffic, or may have: what another process needs to give it back. */
const recordSchema = rolloutRecord.extend({
  /** The weights of before. */
  before: z.record(z.string(), z.number()),
});
export type CanaryRecord = z.output<typeof recordSchema>;

const canaries: RolloutKind<CanaryRecord> = {
  folder: "traffic",
  noun: "canary",
  schema: recordSchema,
  aborted: (request) =>
    new OpsError(
      "E_CANARY_ABORTED",
      `${request.by} aborted the canary${request.reason === null ? "" : `: ${request.reason}`}`,
      {
        hint: "the traffic is back where it was before the canary",
        details: { verdict: "abort", ...request },
        retryable: false,
      },
    ),
};

/** The files beside the journal by which the processes of one machine know of a route's canary. */
export class CanaryFiles extends RolloutFiles<CanaryRecord> {
  constructor(context: Pick<OperationContext, "stateDirectory" | "environment">, route: string) {
    super(context, canaries, route);
  }
}
