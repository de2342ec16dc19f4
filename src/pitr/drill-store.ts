import { join } from "node:path";
import type { DatabaseTarget } from "../config/environment.ts";
import type { OperationContext } from "../run/context.ts";
import { FileStore } from "../storage/file-store.ts";
import type { ObjectStore } from "../storage/object-store.ts";
import { openStore } from "../storage/open-store.ts";
import { archiveStore, pitrOf } from "./archive-stores.ts";

/**
 * Where the records of drills are: beside the archive in its store. pgBackRest's repositories are its own, so those of
 * its archives are beside the journal. Throws `E_TARGET`.
 */
export function drillStore(
  context: Pick<OperationContext, "stateDirectory">,
  database: DatabaseTarget,
  name: string | undefined,
): { readonly name: string; readonly store: ObjectStore } {
  if (pitrOf(database).engine === "ops") {
    const target = archiveStore(database, name);
    return { name: target.name, store: openStore(target) };
  }
  const folder = join(context.stateDirectory, "pgbackrest-drills");
  return { name: folder, store: new FileStore(folder) };
}
