import { mkdir, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { OpsError } from "../core/errors.ts";
import { writeAtomically } from "../process/write-atomically.ts";
import {
  type AbortRequest,
  type PromotionRequest,
  promotionSchema,
  requestSchema,
} from "../rollout/requests.ts";
import type { OperationContext } from "../run/context.ts";

const processSchema = z.object({ host: z.string(), pid: z.number(), pidStartedAt: z.string().nullable() });

/** A canary that has traffic, or may have: what another process needs to give it back. */
const recordSchema = z.object({
  /** Another one for each attempt. */
  token: z.string(),
  run: z.string().nullable(),
  actor: z.string(),
  version: z.string(),
  /** The weights of before. */
  before: z.record(z.string(), z.number()),
  since: z.iso.datetime(),
  process: processSchema,
  /** What gives the traffic back when the process is gone; null where nothing does. */
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
export type CanaryRecord = z.output<typeof recordSchema>;
export type Paused = NonNullable<CanaryRecord["paused"]>;

/** The files beside the journal by which the processes of one machine know of a route's canary. */
export class CanaryFiles {
  private readonly folder: string;
  /** Path; it is there as long as there is something to abort. */
  readonly record: string;
  private readonly request: string;
  private readonly promotion: string;

  constructor(
    { stateDirectory, environment }: Pick<OperationContext, "stateDirectory" | "environment">,
    route: string,
  ) {
    this.folder = join(stateDirectory, "traffic");
    this.record = join(this.folder, `${environment.name}.${route}.canary.json`);
    this.request = join(this.folder, `${environment.name}.${route}.abort.json`);
    this.promotion = join(this.folder, `${environment.name}.${route}.promote.json`);
  }

  /** Undefined where no canary of the route has traffic, as far as this machine knows. */
  async read(): Promise<CanaryRecord | undefined> {
    return readJson(this.record, recordSchema);
  }

  /** Also forgets requests that were meant for an earlier attempt. */
  async begin(record: CanaryRecord): Promise<void> {
    await mkdir(this.folder, { recursive: true });
    await rm(this.request, { force: true });
    await rm(this.promotion, { force: true });
    await writeJson(this.record, record);
  }

  /** What has changed of a canary that goes on. */
  async update(record: CanaryRecord): Promise<void> {
    if ((await this.read())?.token === record.token) await writeJson(this.record, record);
  }

  /** The traffic is where it should be: nothing is left to abort. */
  async end(token: string): Promise<void> {
    if ((await this.read())?.token === token) await this.forget();
  }

  /** Whatever attempt it was. */
  async forget(): Promise<void> {
    await rm(this.record, { force: true });
    await rm(this.request, { force: true });
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

  /** Throws `E_CANARY_ABORTED` where somebody asked for it. */
  async refuseAborted(token: string): Promise<void> {
    const request = await readJson(this.request, requestSchema);
    if (request?.token !== token) return;
    throw new OpsError(
      "E_CANARY_ABORTED",
      `${request.by} aborted the canary${request.reason === null ? "" : `: ${request.reason}`}`,
      {
        hint: "the traffic is back where it was before the canary",
        details: { verdict: "abort", ...request },
        retryable: false,
      },
    );
  }
}

async function writeJson(path: string, data: object): Promise<void> {
  await writeAtomically(path, `${JSON.stringify(data, null, 2)}\n`);
}

/** Undefined where it is not there, or is not what this version writes. */
async function readJson<T>(path: string, schema: z.ZodType<T>): Promise<T | undefined> {
  try {
    return schema.safeParse(JSON.parse(await readFile(path, "utf8"))).data;
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return undefined;
    throw error;
  }
}
