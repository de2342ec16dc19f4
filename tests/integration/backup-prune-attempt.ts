/**
 * One prune in a process of its own, killed with SIGKILL around one change of the store: KILL_AT counts changes from 1,
 * KILL_WHEN is `before` or `after`. The operation's settings and what it had observed come as JSON on standard input.
 */
import { text } from "node:stream/consumers";
import { FileStore } from "../../src/storage/file-store.ts";
import { RecordingReport, testContext } from "../support/context.ts";
import { operation } from "./backup-setting.ts";

const at = Number(process.env.KILL_AT);
let changes = 0;

function around(work: () => Promise<unknown>): Promise<unknown> {
  changes += 1;
  const here = changes === at;
  if (here && process.env.KILL_WHEN === "before") process.kill(process.pid, "SIGKILL");
  return work().finally(() => {
    if (here) process.kill(process.pid, "SIGKILL");
  });
}

const { delete: remove, putIfAbsent } = FileStore.prototype;
FileStore.prototype.delete = function (name) {
  return around(() => remove.call(this, name)) as Promise<void>;
};
FileStore.prototype.putIfAbsent = function (name, body, options) {
  return around(() => putIfAbsent.call(this, name, body, options)) as Promise<boolean>;
};

const { settings, directory, input, before } = JSON.parse(await text(process.stdin));
const prune = operation("backup.prune");
await prune.apply(
  testContext(settings, { directory }),
  prune.input.parse(input),
  before,
  new RecordingReport(),
);
