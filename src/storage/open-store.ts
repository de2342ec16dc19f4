import type { StoreTarget } from "../config/environment.ts";
import { FileStore } from "./file-store.ts";
import { LimitedStore } from "./limited-store.ts";
import type { ObjectStore } from "./object-store.ts";
import { S3Store, type S3StoreOptions } from "./s3/s3-store.ts";

/**
 * The driver for a configured store, held to its bandwidth.
 *
 * @param options of a store on S3: how long it is waited for
 */
export function openStore(target: StoreTarget, options: S3StoreOptions = {}): ObjectStore {
  const store = target.kind === "file" ? new FileStore(target.directory) : new S3Store(target, options);
  return target.bandwidth === undefined ? store : new LimitedStore(store, target.bandwidth);
}
