import { mkdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import type { OpsError } from "../core/errors.ts";
import { readJson } from "../process/read-json.ts";
import { writeAtomically } from "../process/write-atomically.ts";
import type { OperationContext } from "../run/context.ts";
import { type AbortRequest, type PromotionRequest, promotionSchema, requestSchema } from "./requests.ts";

const processSchema = z.object({ host: z.string(), pid: z.number(), pidStartedAt: z.string().nullable() });

/** Of everything that is given out step by step; what another process needs to take it back stands beside it. */
export const rolloutRecord = z.object({
  /** Another one for each attempt. */
  token: z.string(),
  run: z.string().nullable(),
  actor: z.string(),
  /** The new version. */
  version: z.string(),
  since: z.iso.datetime(),
  process: processSchema,
  /** What takes it back when the process is gone; null where nothing does. */
  watchdog: processSchema.nullable(),
  /** While it waits to be promoted. */
  paused: z
    .object({
      /** Index of the step. */
      step: z.int(),
      /** Percent */
      share: z.number(),
      since: z.iso.datetime(),
      /** Null: as long as it takes. */
      until: z.iso.datetime().nullable(),
    })
    .nullable()
    .default(null),
});
export type RolloutRecord = z.output<typeof rolloutRecord>;
export type Paused = NonNullable<RolloutRecord["paused"]>;

const lastRollout = z.object({ run: z.string(), version: z.string() });
/** One that has passed: by which run what version has what it has. */
export type LastRollout = z.output<typeof lastRollout>;

/** What tells one kind of rollout from another. */
export interface RolloutKind<R extends RolloutRecord> {
  /** Inside the state folder. */
  readonly folder: string;
  /** In the name of the record's file. */
  readonly noun: string;
  readonly schema: z.ZodType<R>;
  /** What ends it where somebody has aborted it. */
  aborted(request: AbortRequest): OpsError;
}

/** The files beside the journal by which the processes of one machine know of a canary or a ramp. */
export class RolloutFiles<R extends RolloutRecord> {
  private readonly kind: RolloutKind<R>;
  private readonly folder: string;
  /** Path; it is there as long as there is something to abort. */
  readonly record: string;
  private readonly request: string;
  private readonly promotion: string;
  private readonly last: string;

  /** @param name of what is given out, for a file's name */
  constructor(
    { stateDirectory, environment }: Pick<OperationContext, "stateDirectory" | "environment">,
    kind: RolloutKind<R>,
    name: string,
  ) {
    this.kind = kind;
    this.folder = join(stateDirectory, kind.folder);
    const start = `${environment.name}.${name}`;
    this.record = join(this.folder, `${start}.${kind.noun}.json`);
    this.request = join(this.folder, `${start}.abort.json`);
    this.promotion = join(this.folder, `${start}.promote.json`);
    this.last = join(this.folder, `${start}.last.json`);
  }

  /** Undefined where there is nothing to abort, as far as this machine knows. */
  async read(): Promise<R | undefined> {
    return readJson(this.record, this.kind.schema);
  }

  /** Also forgets requests that were meant for an earlier attempt. */
  async begin(record: R): Promise<void> {
    await mkdir(this.folder, { recursive: true });
    await rm(this.request, { force: true });
    await rm(this.promotion, { force: true });
    await rm(this.last, { force: true });
    await writeJson(this.record, record);
  }

  /** What has changed of one that goes on. */
  async update(record: R): Promise<void> {
    if ((await this.read())?.token === record.token) await writeJson(this.record, record);
  }

  /** All is where it should be: nothing is left to abort. */
  async end(token: string): Promise<void> {
    if ((await this.read())?.token === token) await this.forget();
  }

  /** Whatever attempt it was. */
  async forget(): Promise<void> {
    await rm(this.record, { force: true });
    await rm(this.request, { force: true });
    await rm(this.last, { force: true });
  }

  /** It has given all it was to give: nothing is left to abort, but its run can be taken back. */
  async passed(last: LastRollout): Promise<void> {
    await this.forget();
    await mkdir(this.folder, { recursive: true });
    await writeJson(this.last, last);
  }

  /** What has passed since anybody else has set something; undefined: nothing, as far as this machine knows. */
  async readLast(): Promise<LastRollout | undefined> {
    return readJson(this.last, lastRollout);
  }

  async askToAbort(request: AbortRequest): Promise<void> {
    await writeJson(this.request, request);
  }

  async askToPromote(request: PromotionRequest): Promise<void> {
    await writeJson(this.promotion, request);
  }

  /** Undefined where nobody asked to promote this pause. */
  async readPromotion(token: string, step: number): Promise<PromotionRequest | undefined> {
    const request = await readJson(this.promotion, promotionSchema);
    return request?.token === token && request.step === step ? request : undefined;
  }

  /** Throws the kind's error where somebody asked for it. */
  async refuseAborted(token: string): Promise<void> {
    const request = await readJson(this.request, requestSchema);
    if (request?.token === token) throw this.kind.aborted(request);
  }
}

async function writeJson(path: string, data: object): Promise<void> {
  await writeAtomically(path, `${JSON.stringify(data, null, 2)}\n`);
}
