// A program of its own for tests that kill it: one attempt at pitr.extract, with checkpoints as durable as a journal's.
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { text } from "node:stream/consumers";
import { Environment } from "../../../src/config/environment.ts";
import { environmentSchema } from "../../../src/config/schema.ts";
import type { Json } from "../../../src/core/errors.ts";
import { extract } from "../../../src/pitr/extract.ts";
import { testContext } from "../../support/context.ts";

interface Asked {
  readonly settings: object;
  readonly folder: string;
  readonly config: string;
  readonly input: object;
  readonly before: Json;
  /** Where checkpoints are kept from one attempt to the next. */
  readonly checkpoints: string;
}

const asked = JSON.parse(await text(process.stdin)) as Asked;
const environment = new Environment(
  "default",
  asked.folder,
  environmentSchema.parse(asked.settings),
  asked.config,
);
const context = { ...testContext(asked.settings, { directory: asked.folder }), environment };
const last = existsSync(asked.checkpoints)
  ? (JSON.parse(readFileSync(asked.checkpoints, "utf8")) as Json)
  : undefined;
const output = await extract.apply(context, extract.input.parse(asked.input), asked.before, {
  progress: () => undefined,
  log: () => undefined,
  checkpoint: async (data) => writeFileSync(asked.checkpoints, JSON.stringify(data), { flush: true }),
  last,
});
process.stdout.write(JSON.stringify(output));
