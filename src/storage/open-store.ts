import type { StoreTarget } from "../config/environment.ts";
import { FileStore } from "./file-store.ts";
import type { ObjectStore } from "./object-store.ts";

/** The driver for a configured store. */
export function openStore(target: StoreTarget): ObjectStore {
  return new FileStore(target.directory);
}
