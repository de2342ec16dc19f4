import { existsSync } from "node:fs";
import { mkdir, readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { readJson } from "../process/read-json.ts";
import { writeAtomically } from "../process/write-atomically.ts";
import type { OperationContext } from "../run/context.ts";
import { watchState } from "./state.ts";

/** A watch as other processes of this machine know it. */
export const watchRecord = z.object({
  run: z.string(),
  environment: z.string(),
  actor: z.string(),
  /** Who watches, or did last. */
  process: z.object({ host: z.string(), pid: z.number(), pidStartedAt: z.string().nullable() }),
  state: watchState,
});
export type WatchRecord = z.output<typeof watchRecord>;

const stopRequest = z.object({ by: z.string(), reason: z.string().nullable(), at: z.iso.datetime() });
export type StopRequest = z.output<typeof stopRequest>;

/** Watches that are over are remembered so long, by number; their runs in the journal stay. */
const remembered = 100;

/**
 * The files of watches beside the journal: what each has seen up to its newest look, and who asks it to stop. Each
 * appears whole. They are not durable: after a power cut the journal's newest checkpoint counts, which is older.
 */
export class WatchFiles {
  readonly folder: string;

  constructor({ stateDirectory }: Pick<OperationContext, "stateDirectory">) {
    this.folder = join(stateDirectory, "watches");
  }

  async write(record: WatchRecord): Promise<void> {
    await mkdir(this.folder, { recursive: true, mode: 0o700 });
    await writeAtomically(this.file(record.state.id), `${JSON.stringify(record)}\n`, 0o600);
  }

  /** Undefined where there is none, or none of this version. */
  async read(id: string): Promise<WatchRecord | undefined> {
    return readJson(this.file(id), watchRecord);
  }

  /** Of all environments, newest first. */
  async all(): Promise<WatchRecord[]> {
    const files = existsSync(this.folder) ? await readdir(this.folder) : [];
    const ids = files.flatMap((file) => /^([^.]+)\.json$/.exec(file)?.[1] ?? []);
    const records = await Promise.all(ids.map((id) => this.read(id)));
    return records
      .filter((each) => each !== undefined)
      .sort((a, b) => b.state.startedAt.localeCompare(a.state.startedAt));
  }

  /** @param id of a watch, or a run: then it is for all its watches, also for one that has not looked yet */
  async askToStop(id: string, request: StopRequest): Promise<void> {
    await mkdir(this.folder, { recursive: true, mode: 0o700 });
    await writeAtomically(this.stopFile(id), `${JSON.stringify(request)}\n`, 0o600);
  }

  /** To a watch, or to all of its run. */
  async stopRequest(id: string, run: string | undefined): Promise<StopRequest | undefined> {
    const asked = [id, ...(run === undefined ? [] : [run])].find((each) => existsSync(this.stopFile(each)));
    return asked === undefined ? undefined : readJson(this.stopFile(asked), stopRequest);
  }

  /** Where an attempt of its action leaves its exit code, and its output. */
  action(id: string, attempt: number): { readonly end: string; readonly log: string } {
    const base = join(this.folder, `${id}.action-${attempt}`);
    return { end: `${base}.end`, log: `${base}.log` };
  }

  /** Forgets the oldest of those that are over. */
  async prune(): Promise<void> {
    const over = (await this.all()).filter(({ state }) => state.phase === "over").slice(remembered);
    for (const { state, run } of over) {
      for (const asked of [state.id, run]) await rm(this.stopFile(asked), { force: true });
      await rm(this.file(state.id), { force: true });
    }
  }

  private file(id: string): string {
    return join(this.folder, `${id}.json`);
  }

  private stopFile(id: string): string {
    return join(this.folder, `${id}.stop.json`);
  }
}
