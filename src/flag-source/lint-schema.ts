import { MemoryStorage } from "@openfeature/flagd-core";
import type { FlagDefinition } from "./definition.ts";
import { documentOf, type FlagSet } from "./flag-set.ts";
import type { Problem } from "./lint.ts";
import { evaluatorsOf } from "./segment-users.ts";

const silent = {
  error: () => undefined,
  warn: () => undefined,
  info: () => undefined,
  debug: () => undefined,
};

/** What flagd's own schema, and the compiler of rules in flagd-core, have against a flag; undefined: nothing. */
export function schemaFinding(set: FlagSet, name: string, definition: FlagDefinition): Problem | undefined {
  const storage = new MemoryStorage(silent);
  // Only those it uses: a mistake in another shared rule is not this flag's.
  const evaluators = evaluatorsOf(set, definition.targeting);
  const document = documentOf({ ...set, flags: new Map(), evaluators });
  try {
    storage.setConfigurations(JSON.stringify({ ...document, flags: { [name]: definition } }), true);
  } catch (error) {
    return { severity: "error", rule: "schema", message: `flagd refuses it: ${deepest(error)}` };
  }
  const answer = storage.getFlag(name)?.evaluate({}, silent);
  if (answer?.errorCode !== "PARSE_ERROR") return undefined;
  return { severity: "error", rule: "targeting", message: "flagd-core cannot compile its targeting" };
}

/** Of the many things that a schema with alternatives has to say, the one that is furthest inside. */
function deepest(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  const at = text.indexOf("[");
  try {
    const all = JSON.parse(text.slice(at)) as { instancePath: string; message?: string }[];
    const [first] = all.toSorted((a, b) => b.instancePath.length - a.instancePath.length);
    if (first !== undefined) return `${first.instancePath || "it"} ${first.message ?? "is wrong"}`;
  } catch {
    // Not the list of the schema: what flagd-core says itself.
  }
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause.message : text;
  return cause.split("\n")[0] ?? text;
}
