import { OpsError } from "../core/errors.ts";
import type { Opener } from "../crypto/encryption.ts";
import type { ObjectStore } from "../storage/object-store.ts";
import { readBaseObject } from "./base-catalog.ts";
import type { BaseObject } from "./base-manifest.ts";

/** A store that may have a base backup, and what opens it. */
export interface BaseSource {
  readonly store: ObjectStore;
  readonly opener: Opener;
}

/**
 * As `readBaseObject`, from several stores that have the same object: where it is damaged in one, or the store stops
 * answering, the next one gives the rest. What was given before is whole: encryption tells a damaged piece before it
 * is given. Throws the failure of the first store where none has it whole.
 */
export async function* readBaseFrom(
  sources: readonly BaseSource[],
  id: string,
  object: BaseObject,
): AsyncGenerator<Uint8Array> {
  let given = 0;
  let failure: unknown;
  for (const { store, opener } of sources) {
    let passed = 0;
    try {
      for await (const chunk of readBaseObject(store, id, object, opener)) {
        const known = Math.min(chunk.length, Math.max(0, given - passed));
        passed += chunk.length;
        if (known === chunk.length) continue;
        given += chunk.length - known;
        yield chunk.subarray(known);
      }
      return;
    } catch (error) {
      if (!(error instanceof OpsError)) throw error;
      failure ??= error;
    }
  }
  throw failure;
}
