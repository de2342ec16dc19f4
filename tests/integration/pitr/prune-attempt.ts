/**
 * One prune of an archive in a process of its own, killed with SIGKILL around one removal: KILL_AT counts them from 1,
 * KILL_WHEN is `before` or `after`. What the operation had observed comes as JSON on standard input.
 */
import { text } from "node:stream/consumers";
import { Environment } from "../../../src/config/environment.ts";
import { environmentSchema } from "../../../src/config/schema.ts";
import { FileStore } from "../../../src/storage/file-store.ts";
import { RecordingReport, testContext } from "../../support/context.ts";
import { operation } from "./setting.ts";

const at = Number(process.env.KILL_AT);
let changes = 0;

const { delete: remove } = FileStore.prototype;
FileStore.prototype.delete = async function (name) {
  changes += 1;
  const here = changes === at;
  if (here && process.env.KILL_WHEN === "before") process.kill(process.pid, "SIGKILL");
  await remove.call(this, name);
  if (here) process.kill(process.pid, "SIGKILL");
};

const { settings, directory, before } = JSON.parse(await text(process.stdin));
// As in the configuration file that archived: a prune of another environment is refused.
const environment = new Environment("default", directory, environmentSchema.parse(settings));
const prune = operation("pitr.prune");
await prune.apply(
  { ...testContext(settings, { directory }), environment },
  prune.input.parse({}),
  before,
  new RecordingReport(),
);
