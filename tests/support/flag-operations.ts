import { type ErrorRecord, errorRecord } from "../../src/core/errors.ts";
import { operations } from "../../src/flag/operations.ts";
import type { FlagDefinition } from "../../src/flag-source/definition.ts";
import type { Operation } from "../../src/run/operation.ts";
import { type Performed, perform, type TestContext, testContext } from "./context.ts";
import type { FlagPlace } from "./flag-sources.ts";

export function flagOperation(name: string): Operation {
  const found = operations.find((each) => each.name === name);
  if (found === undefined) throw new Error(`there is no operation ${name}`);
  return found;
}

/** As somebody at a terminal who has this place in `.opsrc`. */
export function contextOf({ settings, url, directory }: FlagPlace): TestContext {
  const databases = url === undefined ? {} : { databases: { main: { url } } };
  const made = testContext({ ...databases, "flag-sources": { main: settings } }, { directory });
  return { ...made, actor: "ann@laptop" };
}

/** `allow`, `{ flag: "f", … }`: as `ops flag allow f …`. */
export function flag(context: TestContext, verb: string, input: object): Promise<Performed> {
  return perform(flagOperation(`flag.${verb}`), context, input);
}

export async function storedFlag(place: FlagPlace, name: string): Promise<FlagDefinition | undefined> {
  const source = place.open();
  try {
    return (await source.read()).flags.get(name)?.definition;
  } finally {
    await source.close();
  }
}

export async function failureOf(promise: Promise<unknown>): Promise<ErrorRecord> {
  const error: unknown = await promise.then(
    () => undefined,
    (each) => each,
  );
  if (error === undefined) throw new Error("it did not fail");
  return errorRecord(error);
}
