import type { StoreTarget } from "../config/environment.ts";
import { FileStore } from "./file-store.ts";
import { LimitedStore } from "./limited-store.ts";
import type { ObjectStore } from "./object-store.ts";
import { S3Store } from "./s3/s3-store.ts";

/** The driver for a configured store, held to its bandwidth. */
export function openStore(target: StoreTarget): ObjectStore {
  const store = driver(target);
  return target.bandwidth === undefined ? store : new LimitedStore(store, target.bandwidth);
}

function driver(target: StoreTarget): ObjectStore {
  return target.kind === "file" ? new FileStore(target.directory) : new S3Store(target);
}
