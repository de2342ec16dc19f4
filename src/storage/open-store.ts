import type { StoreTarget } from "../config/environment.ts";
import { UsageError } from "../core/errors.ts";
import { FileStore } from "./file-store.ts";
import { LimitedStore } from "./limited-store.ts";
import type { ObjectStore } from "./object-store.ts";

/** The driver for a configured store, held to its bandwidth. */
export function openStore(target: StoreTarget): ObjectStore {
  const store = driver(target);
  return target.bandwidth === undefined ? store : new LimitedStore(store, target.bandwidth);
}

function driver(target: StoreTarget): ObjectStore {
  if (target.kind === "file") return new FileStore(target.directory);
  throw new UsageError("E_STORE", `The store ${target.name} is on S3, which this build cannot reach`);
}
