import { randomBytes } from "node:crypto";
import type { z } from "zod";
import type { ObjectStore } from "../storage/object-store.ts";

/** A record of a drill in a store, known by its name: what was drilled, and when the drill began. */
export interface DrillObject {
  readonly name: string;
  /** The backup's id. */
  readonly subject: string;
  /** `20261121T143159Z` */
  readonly time: string;
}

/** `<prefix><subject>-<time>-<four digits>.json`, whole or not at all. Written once, never changed. */
export async function writeDrillObject(
  store: ObjectStore,
  prefix: string,
  record: { readonly subject: string; readonly startedAt: string; readonly content: object },
): Promise<void> {
  const time = record.startedAt.replace(/[-:]|\.\d+/g, "");
  const name = `${prefix}${record.subject}-${time}-${randomBytes(2).toString("hex")}.json`;
  await store.putIfAbsent(name, Buffer.from(`${JSON.stringify(record.content, null, 2)}\n`));
}

/** Newest first. */
export async function listDrillObjects(store: ObjectStore, prefix: string): Promise<DrillObject[]> {
  const found: DrillObject[] = [];
  for await (const { name } of store.list(prefix)) {
    const [, subject, time] = /^(.+)-(\d{8}T\d{6}Z)-[^/-]*\.json$/.exec(name.slice(prefix.length)) ?? [];
    if (subject !== undefined && time !== undefined) found.push({ name, subject, time });
  }
  return found.sort((a, b) => (`${a.time}${a.name}` < `${b.time}${b.name}` ? 1 : -1));
}

/** Undefined for what is no such record. */
export function parseDrillObject<T extends z.ZodType>(schema: T, bytes: Uint8Array): z.output<T> | undefined {
  try {
    return schema.safeParse(JSON.parse(Buffer.from(bytes).toString("utf8"))).data;
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}
