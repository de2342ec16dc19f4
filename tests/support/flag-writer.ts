import { Secret } from "../../src/config/secret.ts";
import { withFlag } from "../../src/flag-source/flag-set.ts";
import { openFlagSource } from "../../src/flag-source/open-source.ts";

/*
 * A process that changes flags once, to be killed while it does: it counts `tries` of two flags up together.
 *   node flag-writer.ts DIRECTORY (file:NAME | postgresql://…)
 */

const [directory = "", place = ""] = process.argv.slice(2);
const file = `${directory}/${place.replace("file:", "")}`;
const source = openFlagSource(
  place.startsWith("file:")
    ? { name: "main", driver: "file", file, history: `${file}.history.jsonl` }
    : {
        name: "main",
        driver: "postgres",
        database: {
          name: "main",
          url: new Secret(place, directory),
          password: undefined,
          migrations: directory,
        },
      },
  {
    stateDirectory: `${directory}/.ops`,
    now: () => new Date(),
    signal: new AbortController().signal,
  },
);
await source.update({ actor: "writer", run: undefined, operation: "test", reason: undefined }, (now) => {
  const tries = Number(now.flags.get("a")?.definition.metadata?.tries ?? 0) + 1;
  const definition = {
    state: "ENABLED" as const,
    variants: { on: true, off: false },
    defaultVariant: "off",
    metadata: { tries, text: "x".repeat(1000) },
  };
  return withFlag(withFlag(now, "a", definition), "b", definition);
});
await source.close();
