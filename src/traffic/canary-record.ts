import { mkdir, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { OpsError } from "../core/errors.ts";
import { writeAtomically } from "../process/write-atomically.ts";
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
});
export type CanaryRecord = z.output<typeof recordSchema>;

const requestSchema = z.object({
  token: z.string(),
  by: z.string(),
  reason: z.string().nullable(),
  at: z.iso.datetime(),
});
export type AbortRequest = z.output<typeof requestSchema>;

/** The files beside the journal by which the processes of one machine know of a route's canary. */
export class CanaryFiles {
  private readonly folder: string;
  private readonly record: string;
  private readonly request: string;

  constructor(
    { stateDirectory, environment }: Pick<OperationContext, "stateDirectory" | "environment">,
    route: string,
  ) {
    this.folder = join(stateDirectory, "traffic");
    this.record = join(this.folder, `${environment.name}.${route}.canary.json`);
    this.request = join(this.folder, `${environment.name}.${route}.abort.json`);
  }

  /** Undefined where no canary of the route has traffic, as far as this machine knows. */
  async read(): Promise<CanaryRecord | undefined> {
    return readJson(this.record, recordSchema);
  }

  /** Also forgets a request to abort that was meant for an earlier attempt. */
  async begin(record: CanaryRecord): Promise<void> {
    await mkdir(this.folder, { recursive: true });
    await rm(this.request, { force: true });
    await writeAtomically(this.record, `${JSON.stringify(record, null, 2)}\n`);
  }

  /** The traffic is where it should be: nothing is left to abort. */
  async end(token: string): Promise<void> {
    if ((await this.read())?.token !== token) return;
    await rm(this.record, { force: true });
    await rm(this.request, { force: true });
  }

  async askToAbort(request: AbortRequest): Promise<void> {
    await writeAtomically(this.request, `${JSON.stringify(request, null, 2)}\n`);
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
